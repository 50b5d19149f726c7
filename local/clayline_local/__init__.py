"""The same system on one machine.

Moto for AWS, an emulator of SageMaker's asynchronous contract, and one worker process a function.
"""
