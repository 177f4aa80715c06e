"""Kernels of our own for CPUs, compiled at first use. See kernels.cpp, build.py, cpu.py."""
