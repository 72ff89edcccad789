"""The lab's AWS endpoint: moto in one process, with the gaps that matter to an operator closed.

``python -m penstock_lab.aws --port 0`` serves it; :class:`penstock_lab.aws.client.LabAWS` steers it from tests.
"""
