#!/bin/sh
# Part an environment into the folders that become the image's layers: prune.sh VENV LAYERS LOCK
#
# First goes what LoRA on one or several GPUs does not need. Each line was tried: `import torch`,
# the demo and the container tests pass without it (docs/decisions/0007-the-image.md says what
# each is, and what must stay although its name suggests otherwise).
# Runs in the build, where there is no bash.
set -eu
venv=$1 layers=$2 lock=$3
packages=$(echo "$venv"/lib/python3*/site-packages)

rm -f "$packages"/nvidia/cu13/lib/libcusolverMg.so.*     # linear algebra over several GPUs
rm -f "$packages"/nvidia/cu13/lib/libnvrtc*.alt.so.*     # a second build of the runtime compiler
rm -f "$packages"/nvidia/cu13/lib/libnvperf_*.so         # a profiler's
rm -f "$packages"/nvidia/cu13/lib/libcheckpoint.so "$packages"/nvidia/cu13/lib/libpcsamplingutil.so
rm -f "$packages"/nvidia/nvshmem/lib/*.bc                # device code for a compiler
for library in "$packages"/bitsandbytes/libbitsandbytes_*.so; do # for other CUDAs and vendors
  case $library in *_cpu.so | *_cuda130.so) ;; *) rm -f "$library" ;; esac
done
rm -rf "$packages"/pyarrow/include "$packages"/pyarrow/src
rm -f "$packages"/pyarrow/*_flight* "$packages"/pyarrow/*arrow_s3* "$packages"/pyarrow/_s3fs* # its ways to a network
rm -f "$packages"/torch/bin/protoc* # a compiler of messages
find "$packages"/nvidia "$packages"/torch -name '*.a' -delete # to link programs with
find "$packages"/nvidia "$packages"/torch -depth -type d -name include -exec rm -rf {} + # headers
find "$packages" -depth -type d -name tests -exec rm -rf {} + # the packages' own tests

# Hard links: a layer's folder is no second copy.
mkdir -p "$layers/rest/opt/medlora"
cp -al "$venv" "$lock" "$layers/rest/opt/medlora/"
for layer in cuda torch; do
  case $layer in
    cuda) names=nvidia ;;
    torch) names='torch torchgen functorch' ;;
  esac
  target=$layers/$layer/opt/medlora/$packages
  mkdir -p "$target"
  for name in $names; do
    [ ! -e "$packages/$name" ] || mv "$layers/rest/opt/medlora/$packages/$name" "$target/"
  done
done
find "$layers" -exec touch --no-dereference --date=@315532800 {} +
