#!/bin/sh
# make bundle: trains again what ships in models/, by the commands that anybody trains with (docs/learning.md).
# Each goes on where it was cut off, and is over at once where it was finished.
set -eu
out=${1:-outputs/learn}
tasks="move_cube move_brush writing_agi drawer_open door_close"
xdistill=.venv/bin/xdistill

for task in $tasks; do
  $xdistill up record --task "$task" --demonstrations 25 --store "$out/$task.zarr"
done
$xdistill distill config/learn/distil_table.yaml --out "$out/distilled"
for task in $tasks; do # a head for each task on the one frozen encoder
  $xdistill train --preset cpu --store "$out/$task.zarr" --encoder xdistill --weights "$out/distilled/encoder.safetensors" \
    --set held_out=0 --set encoder.int8=true --out "$out/policies/$task"
  test -d "$out/models/$task" || $xdistill export "$out/policies/$task" --precision int8 --out "$out/models/$task"
done
echo "$out/models: when their trials are better than those in models/README.md, they may ship"
