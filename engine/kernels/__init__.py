"""Our own kernels: C++ on a CPU (float32, bfloat16), Triton on CUDA."""
