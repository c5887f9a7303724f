#!/usr/bin/env bash
# Owns the system libraries that pip cannot bring: Python with venv, OpenGL for headless rendering, OpenMP, which
# pinocchio is built against, and libusb, through which the RealSense SDK speaks to cameras.
# Installs what is missing by apt where it may; otherwise prints the one line to type and ends 1.
set -euo pipefail
python=${1:-python3}

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
  found=$("$python" --version 2>&1 || true)
  echo "Python 3.11 to 3.14 is needed, '$python' is: ${found:-not there}." >&2
  echo "Name another: make PYTHON=python3.12 ..." >&2
  exit 1
fi

libraries=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p)
missing=()
need() { grep -q "$1" <<<"$libraries" || missing+=("${@:2}"); }
need 'libEGL\.so\.1 ' libegl1
need 'libGL\.so\.1 ' libgl1
need 'libEGL_\(mesa\|nvidia\)\.so' libegl-mesa0 libgl1-mesa-dri
need 'libgomp\.so\.1 ' libgomp1
need 'libusb-1\.0\.so\.0 ' libusb-1.0-0
# Debian splits venv off the system's Python; Pythons of other origin have it.
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  missing+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
as=()
if [ "$(id -u)" -ne 0 ]; then
  as=(sudo -n)
  sudo -n true 2>/dev/null || as=(refused)
fi
if ! command -v apt-get >/dev/null || [ "${as[*]:-}" = refused ]; then
  echo "Libraries are missing: ${missing[*]}. Type this, then try again:" >&2
  echo "  sudo apt-get update && sudo $install" >&2
  exit 1
fi
echo "Installing ${missing[*]} ..."
"${as[@]}" apt-get update -qq
"${as[@]}" env DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null
