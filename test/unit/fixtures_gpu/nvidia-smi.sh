#!/bin/sh
# A stand-in for nvidia-smi. It notes how it was started, and goes on telling what is written into the pipe "lines" next to it.
here=$(dirname "$0")
echo "$$ $*" >>"$here/starts"
case "$*" in
*throttle*)
  if [ -f "$here/is_old" ]; then
    echo 'Field "clocks_throttle_reasons.active" is not a valid field to query.'
    exit 2
  fi
  ;;
esac
if [ -f "$here/message" ]; then
  cat "$here/message"
  exit 9
fi
exec cat "$here/lines"
