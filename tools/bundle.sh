#!/bin/sh
# make bundle: trains again what ships in models/, by the commands that anybody trains with (docs/learning.md).
# Each goes on where it was cut off, and is over at once where it was finished.
set -eu
out=${1:-outputs/learn}
tasks="move_cube move_brush writing_agi drawer_open door_close"
xdistill=.venv/bin/xdistill

train() { # FOLDER WEIGHTS: a head for each task on a frozen encoder
  for task in $tasks; do
    $xdistill train --preset cpu --store "$out/$task.zarr" --encoder xdistill --weights "$2" --set held_out=0 --out "$1/$task"
  done
}

for task in $tasks; do
  $xdistill up record --task "$task" --demonstrations 25 --store "$out/$task.zarr"
done
$xdistill distill config/learn/distil_table.yaml --out "$out/distilled"
train "$out/before" "$out/distilled/encoder.safetensors"
$xdistill tune "$out"/before/* --out "$out/tuned"
train "$out/policies" "$out/tuned/encoder.safetensors"
for task in $tasks; do
  test -d "$out/models/$task" || $xdistill export "$out/policies/$task" --precision int8 --out "$out/models/$task"
done
echo "$out/models: when their trials are better than those in models/README.md, they may ship"
