"""The SageMaker container's program: request objects in, response objects out (docs/wire.md).

``python -m server``, or ``serve``.
"""
