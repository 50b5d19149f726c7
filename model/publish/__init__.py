"""Publishing a model folder: check it, upload it, enter it in SageMaker's model registry, try an endpoint that has it.

``make publish-model`` and ``make smoke-test`` run it, in ``.venv-publish``: the only place that has the sagemaker SDK.
"""
