"""A CNI plugin, last of the chain: in the pod, the loopback addresses of the lab's databases lead to the node, which relays them.

The databases' endpoints are addresses of this machine's loopback. A pod has a loopback of its own: there they are mapped, address by address, to
`network.MAPPED`, which is the node's. What a plugin is asked and answers: https://www.cni.dev/docs/spec/.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from .network import DATABASES, MAPPED

_RULES = f"""
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
iptables -w -t nat -A OUTPUT -d {DATABASES} -p tcp -j NETMAP --to {MAPPED}
iptables -w -t nat -A POSTROUTING -d {MAPPED} -j MASQUERADE
"""


def main() -> int:
    command = os.environ["CNI_COMMAND"]
    if command == "VERSION":
        print(json.dumps({"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}))
        return 0
    asked = json.load(sys.stdin)
    if command == "ADD":
        inside = ["nsenter", f"--net={os.environ['CNI_NETNS']}", "sh", "-ec", _RULES]
        answer = subprocess.run(inside, capture_output=True, text=True, check=False)
        if answer.returncode:
            print(json.dumps({"cniVersion": asked["cniVersion"], "code": 100, "msg": answer.stderr.strip()}))
            return 1
        print(json.dumps(asked["prevResult"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
