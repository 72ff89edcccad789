"""RDS for Aurora: a control plane of our own beside moto, on the lab's clock.

``store`` holds what there is, ``operations`` names what can be asked; in between one module a concern: ``clusters``,
``instances``, ``failover``, ``power``, ``parametergroups``, ``subnetgroups``, ``snapshots``, ``restores``, ``events``
and so on. What happens to the databases themselves goes through :class:`.dataplane.DataPlane`.
"""
