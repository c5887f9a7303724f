"""Records short episodes until it is killed: the victim of tests. Says a line for each that is committed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import stores
from xdistill_ros.episodes import StoreError, Writer


def main(path: Path) -> int:
    rig = stores.tiny_rig()
    try:
        with Writer(path, rig, "pick") as writer:
            print("begun", flush=True)
            while True:
                index = writer.episodes
                stores.write_episode(writer, rig, index=index, rows=5 + index % 30)
                print(index, flush=True)
    except (StoreError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
