"""Two objects and one name: whatever the moment, exactly one has the table, and the other writes nothing to it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

import pytest
from dynamo_model import Aws
from dynamo_specs import examples, specs
from dynamo_world import manifest
from engine_harness import Bench, now, operating
from fake_kube import Cluster
from hypothesis import given
from hypothesis import strategies as st
from test_dynamo_kind import account
from virtual_time import virtual

from penstock.api.meta import OWNER_TAG
from penstock.dynamo.inventory import InventoryCycles
from penstock.dynamo.kind import NAME, RESOURCE, DynamoTables
from penstock.engine.owners import owner
