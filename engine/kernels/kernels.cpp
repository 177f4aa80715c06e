// The engine's CPU kernels: matrix product, attention over the paged KV cache, and what lies between.
//
// Every output row is computed by the same sequence of operations whatever the number of rows, of
// threads, or its place: one chain of fused multiply-adds a value, in the order of the inner
// dimension; K/V blocks in the order of the sequence; no sum is split between threads. So batch
// invariance holds by construction. The tile of registers follows Goto & van de Geijn, "Anatomy of
// high-performance matrix multiplication" (2008); the running softmax FlashAttention-2.
//
// Compiled by build.py for the machine at hand; called through ctypes from cpu.py, which checks
// shapes. T is float or bfloat16 (as its bits); arithmetic is float32 throughout.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>
#include <omp.h>
#include <vector>
#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, MAX_ROWS = 12;
#else
constexpr int LANES = 8, MAX_ROWS = 6;
#endif
constexpr int PANEL = 2 * LANES;  // columns of one tile of registers
constexpr int BLOCK = 32;         // tokens of one K/V block
constexpr int GROUP = 32;         // inputs of an integer weight that share a scale

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));

struct bf16 {
  uint16_t bits;
};

inline vf fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline vf all(float x) { return x - vf{}; }

inline vf load(const float* p) {
  vf v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline vf load(const bf16* p) {
  vh h;
  std::memcpy(&h, p, sizeof h);
  return (vf)(__builtin_convertvector(h, vi) << 16);
}
inline void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }

inline float widen(float x) { return x; }
inline float widen(bf16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
inline void narrow(float x, float* out) { *out = x; }
inline void narrow(float x, bf16* out) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  out->bits = std::isnan(x) ? 0x7fc0 : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// The first `count` values, filled up with zeros; all LANES of them where there are as many. The
// last values of a row so go the same way as the others: a value's bits are its own.
template <class T>
inline vf load(const T* p, int64_t count) {
  if (count >= LANES) return load(p);
  float part[LANES] = {};
  for (int64_t j = 0; j < count; j++) part[j] = widen(p[j]);
  return load(part);
}
template <class T>
inline void store(T* p, vf v, int64_t count) {
  if constexpr (sizeof(T) == 4)
    if (count >= LANES) return store(p, v);
  for (int64_t j = 0; j < std::min<int64_t>(count, LANES); j++) narrow(v[j], p + j);
}

inline vf larger(vf a, vf b) {  // b where either is NaN
  const vi more = a > b;
  return (vf)(((vi)a & more) | ((vi)b & ~more));
}

#if defined(__AVX512F__)
inline float top_of(vf v) { return _mm512_reduce_max_ps((__m512)v); }
inline float sum(vf v) { return _mm512_reduce_add_ps((__m512)v); }
#else
inline float top_of(vf v) {
  float top = v[0];
  for (int i = 1; i < LANES; i++) top = std::max(top, v[i]);
  return top;
}
inline float sum(vf v) {
  float s = 0;
  for (int i = 0; i < LANES; i++) s += v[i];
  return s;
}
#endif

// e^x for x <= 0, 0 below the smallest normal number. Cephes' polynomial, about 1 ulp.
inline vf exp_negative(vf x) {
  const vi tiny = x < all(-87.3f);
  x = (vf)(((vi)x & ~tiny));
  const vf n = __builtin_convertvector(__builtin_convertvector(x * 1.44269504f - 0.5f, vi), vf);
  vf r = fma(n, all(-0.693359375f), x);
  r = fma(n, all(2.12194440e-4f), r);
  vf p = all(1.9875691500e-4f);
  p = fma(p, r, all(1.3981999507e-3f));
  p = fma(p, r, all(8.3334519073e-3f));
  p = fma(p, r, all(4.1665795894e-2f));
  p = fma(p, r, all(1.6666665459e-1f));
  p = fma(p, r, all(5.0000001201e-1f));
  p = fma(p, r * r, r + 1.0f);
  const vi scale = (__builtin_convertvector(n, vi) + 127) << 23;
  return (vf)((vi)(p * (vf)scale) & ~tiny);
}

inline vf either(vi which, vf a, vf b) { return (vf)(((vi)a & which) | ((vi)b & ~which)); }
inline vf magnitude(vf x) { return (vf)((vi)x & 0x7fffffff); }

// 1 / (1 + e^-x)
inline vf sigmoid(vf x) {
  const vf e = exp_negative(-magnitude(x));
  return either(x < 0.0f, e, all(1.0f)) / (1.0f + e);
}

inline vf silu(vf x) { return x * sigmoid(x); }

// x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3), as x sigmoid(2u): nothing cancels
inline vf gelu(vf x) { return x * sigmoid(1.5957691216f * fma(0.044715f * (x * x), x, x)); }

// cap tanh(x / cap). Near 0 Cephes' polynomial, elsewhere 1 - 2 / (1 + e^2|y|).
inline vf soft_cap(vf x, float cap) {
  const vf y = x / cap, size = magnitude(y), square = y * y;
  vf p = all(-5.70498872745e-3f);
  p = fma(p, square, all(2.06390887954e-2f));
  p = fma(p, square, all(-5.37397155531e-2f));
  p = fma(p, square, all(1.33314422036e-1f));
  p = fma(p, square, all(-3.33332819422e-1f));
  const vf near = fma(p * square, y, y), e = exp_negative(-2.0f * size);
  const vf far = 1.0f - 2.0f * e / (1.0f + e);
  return cap * either(size < 0.625f, near, either(y < 0.0f, -far, far));
}

// c[R, PANEL] (+)= a[R, depth] · b[depth, PANEL]; a row of c is one chain over depth. next: what is
// multiplied after b, laid out as b, is fetched into the second-level cache meanwhile; or nullptr.
template <int R, bool ADD, class TA, class TB, class Next>
inline void tile(const TA* a, long lda, const TB* b, long ldb, long depth, float* c, long ldc,
                 Next next) {
  vf acc[R][2];
  for (int r = 0; r < R; r++)
    for (int j = 0; j < 2; j++) acc[r][j] = ADD ? load(c + r * ldc + j * LANES) : vf{};
  for (long k = 0; k < depth; k++) {
    const vf b0 = load(b + k * ldb), b1 = load(b + k * ldb + LANES);
    if constexpr (!std::is_null_pointer_v<Next>) {
      __builtin_prefetch(next + k * ldb, 0, 2);
      __builtin_prefetch(next + k * ldb + LANES, 0, 2);
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; r++) {
      const vf x = all(widen(a[r * lda + k]));
      acc[r][0] = fma(x, b0, acc[r][0]);
      acc[r][1] = fma(x, b1, acc[r][1]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int j = 0; j < 2; j++) store(c + r * ldc + j * LANES, acc[r][j]);
}

// The last tile fetches; others read b from the cache.
template <bool ADD, int R = MAX_ROWS, class TA, class TB, class Next = std::nullptr_t>
inline void rows_of_tile(long rows, const TA* a, long lda, const TB* b, long ldb, long depth,
                         float* c, long ldc, Next next = nullptr) {
  if constexpr (R == MAX_ROWS) {
    for (; rows > R; rows -= R, a += R * lda, c += R * ldc)
      tile<R, ADD>(a, lda, b, ldb, depth, c, ldc, nullptr);
    if (rows == R) return tile<R, ADD>(a, lda, b, ldb, depth, c, ldc, next);
  }
  if constexpr (R > 1) {
    if (rows == R - 1)
      tile<R - 1, ADD>(a, lda, b, ldb, depth, c, ldc, next);
    else if (rows > 0)
      rows_of_tile<ADD, R - 1>(rows, a, lda, b, ldb, depth, c, ldc, next);
  }
}

// Panel p of integer weights as floats [depth, PANEL]. 8 bits: a code a byte; 4 bits: codes of
// columns j (low) and j + LANES (high) in a byte, both plus 8.
inline void open_panel(const void* panels, int64_t bits, const float* scales, int64_t p,
                       int64_t depth, float* out) {
  typedef int8_t vb __attribute__((vector_size(LANES)));
  const int8_t* codes = static_cast<const int8_t*>(panels) + p * depth * (PANEL * bits / 8);
  for (int64_t k = 0; k < depth; k++) {
    const float* s = scales + (p * (depth / GROUP) + k / GROUP) * PANEL;
    vb first, second;
    std::memcpy(&first, codes + k * (PANEL * bits / 8), LANES);
    vi low = __builtin_convertvector(first, vi), high;
    if (bits == 8) {
      std::memcpy(&second, codes + k * PANEL + LANES, LANES);
      high = __builtin_convertvector(second, vi);
    } else {
      high = ((low >> 4) & 15) - 8;
      low = (low & 15) - 8;
    }
    store(out + k * PANEL, __builtin_convertvector(low, vf) * load(s));
    store(out + k * PANEL + LANES, __builtin_convertvector(high, vf) * load(s + LANES));
  }
}

// a row of values in the cache fills whole panels
inline int64_t padded_dim(int64_t dim) { return (dim + PANEL - 1) / PANEL * PANEL; }

struct Attention {
  int64_t num_heads, num_kv_heads, head_dim, window;
  float scale, softcap;
};

// One tile of queries of one K/V head: rows are (token, query head of the group). The next block is
// fetched while one is read, after the last one the first of head `then`: one token a sequence reads
// its whole K and V and computes little, and blocks lie anywhere, where no processor looks ahead.
template <class T>
void attend_tile(const Attention& s, const T* queries, int64_t query_stride, const T* keys,
                 const T* values, const int32_t* table, int64_t start, int64_t num_tokens,
                 int64_t kv_head, int64_t then, T* out, int64_t out_stride,
                 std::vector<float>& scratch) {
  const int64_t group = s.num_heads / s.num_kv_heads, dim = s.head_dim, rows = num_tokens * group;
  const int64_t padded = padded_dim(dim);
  scratch.resize(rows * (dim + padded + BLOCK + 2));
  float* q = scratch.data();
  float *sums = q + rows * dim, *p = sums + rows * padded, *top = p + rows * BLOCK;
  float* mass = top + rows;
  for (int64_t r = 0; r < rows; r++) {
    const T* from = queries + r / group * query_stride + (kv_head * group + r % group) * dim;
    for (int64_t d = 0; d < dim; d++) q[r * dim + d] = widen(from[d]) * s.scale;
    top[r] = -std::numeric_limits<float>::infinity();
    mass[r] = 0;
  }
  std::memset(sums, 0, sizeof(float) * rows * padded);
  const int64_t window = s.window > 0 ? s.window : std::numeric_limits<int64_t>::max() / 2;
  const int64_t last = start + num_tokens - 1;
  const int64_t first_block = std::max<int64_t>(0, start - window + 1) / BLOCK;
  for (int64_t b = first_block; b * BLOCK <= last; b++) {
    const int64_t first_key = b * BLOCK, at = table[b] * s.num_kv_heads + kv_head;
    const int64_t next = first_key + BLOCK <= last ? table[b + 1] * s.num_kv_heads + kv_head
                                                   : table[first_block] * s.num_kv_heads + then;
    const T *k = keys + at * dim * BLOCK, *v = values + at * padded * BLOCK;
    const T *next_k = keys + next * dim * BLOCK, *next_v = values + next * padded * BLOCK;
    // queries that see any key of this block
    const int64_t from = std::max<int64_t>(0, first_key - start) * group;
    const int64_t to = std::min(num_tokens, first_key + BLOCK - 1 + window - start) * group;
    for (int j = 0; j < BLOCK; j += PANEL)
      rows_of_tile<false>(to - from, q + from * dim, dim, k + j, BLOCK, dim, p + from * BLOCK + j,
                          BLOCK, next_k + j);
    for (int64_t r = from; r < to; r++) {
      float* row = p + r * BLOCK;
      const int64_t position = start + r / group;
      if (s.softcap > 0)
        for (int j = 0; j < BLOCK; j += LANES) store(row + j, soft_cap(load(row + j), s.softcap));
      float largest = top[r];
      if (first_key + BLOCK - 1 > position || first_key <= position - window)
        for (int j = 0; j < BLOCK; j++)
          if (first_key + j > position || first_key + j <= position - window)
            row[j] = -std::numeric_limits<float>::infinity();
      vf tops = load(row);
      for (int j = LANES; j < BLOCK; j += LANES) tops = larger(tops, load(row + j));
      largest = std::max(largest, top_of(tops));
      vf total{};
      for (int j = 0; j < BLOCK; j += LANES) {
        const vf e = exp_negative(load(row + j) - largest);
        store(row + j, e);
        total = total + e;
      }
      const float shrink = largest == top[r] ? 1.0f : std::exp(top[r] - largest);
      mass[r] = mass[r] * shrink + sum(total);
      if (shrink != 1.0f)
        for (int64_t d = 0; d < padded; d += LANES)
          store(sums + r * padded + d, load(sums + r * padded + d) * shrink);
      top[r] = largest;
    }
    for (int64_t d = 0; d < padded; d += PANEL)
      rows_of_tile<true>(to - from, p + from * BLOCK, BLOCK, v + d, padded, BLOCK,
                         sums + from * padded + d, padded, next_v + d);
  }
  for (int64_t r = 0; r < rows; r++) {
    T* to = out + r / group * out_stride + (kv_head * group + r % group) * dim;
    const float inverse = 1.0f / mass[r];
    for (int64_t d = 0; d < dim; d++) narrow(sums[r * padded + d] * inverse, to + d);
  }
}

// k and v of the step into one layer's cache: keys [blocks, kv_heads, dim, BLOCK] (transposed, so
// that scores of 32 keys are one panel), values [blocks, kv_heads, BLOCK, padded_dim].
template <class T>
void write(const Attention* s, const T* k, const T* v, int64_t stride, T* keys, T* values,
           const int32_t* slots, int64_t num_tokens) {
  const int64_t dim = s->head_dim, padded = padded_dim(dim);
#pragma omp parallel for schedule(static) if (num_tokens > 4)
  for (int64_t t = 0; t < num_tokens; t++)
    for (int64_t h = 0; h < s->num_kv_heads; h++) {
      const int64_t at = (slots[t] / BLOCK * s->num_kv_heads + h) * BLOCK, offset = slots[t] % BLOCK;
      const T* from = k + t * stride + h * dim;
      for (int64_t d = 0; d < dim; d++) keys[at * dim + d * BLOCK + offset] = from[d];
      std::memcpy(values + (at + offset) * padded, v + t * stride + h * dim, dim * sizeof(T));
    }
}

template <class T>
void attend(const Attention* s, const T* queries, int64_t stride, const T* keys, const T* values,
            const int32_t* tiles, int64_t num_tiles, const int32_t* tables, T* out) {
  const int64_t out_stride = s->num_heads * s->head_dim;
  const int64_t heads_at_once = num_tiles >= 8 * omp_get_max_threads() ? s->num_kv_heads : 1;
#pragma omp parallel
  {
    std::vector<float> scratch;
#pragma omp for schedule(dynamic, heads_at_once) collapse(2)
    for (int64_t i = 0; i < num_tiles; i++)
      for (int64_t h = 0; h < s->num_kv_heads; h++) {
        const int32_t* t = tiles + 4 * i;  // row, start, number of tokens, offset of its table
        const int64_t then = heads_at_once > 1 ? std::min(h + 1, s->num_kv_heads - 1) : h;
        attend_tile(*s, queries + t[0] * stride, stride, keys, values, tables + t[3],
                    t[1], t[2], h, then, out + t[0] * out_stride, out_stride, scratch);
      }
  }
}

// out = x / rms(x) * weight, each [rows, n]; rounded once, from float32
template <class T, class W>
void rms_norm(const T* x, const W* weight, float eps, T* out, int64_t rows, int64_t n) {
#pragma omp parallel for schedule(static) if (rows > 8)
  for (int64_t r = 0; r < rows; r++) {
    const T* row = x + r * n;
    vf squares{};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) squares = fma(load(row + i), load(row + i), squares);
    float total = sum(squares);
    for (; i < n; i++) total += widen(row[i]) * widen(row[i]);
    const float scale = 1.0f / std::sqrt(total / n + eps);
    for (i = 0; i < n; i++) narrow(widen(weight[i]) * (widen(row[i]) * scale), out + r * n + i);
  }
}

// out [rows, n] = f(gate) * up, from [rows, 2n]: gate, then up; without a gate f(up), from [rows, n]
template <bool IS_GATED, class T, class F>
void activate(F f, const T* in, T* out, int64_t rows, int64_t n) {
#pragma omp parallel for schedule(static) if (rows > 1)
  for (int64_t r = 0; r < rows; r++) {
    const T* x = in + r * (IS_GATED ? 2 * n : n);
    for (int64_t i = 0; i < n; i += LANES) {
      vf y = f(load(x + i, n - i));
      if constexpr (IS_GATED) y = y * load(x + n + i, n - i);
      store(out + r * n + i, y, n - i);
    }
  }
}

// Rotates the first heads of every row of qkv [rows, row_stride] in place; cos, sin: [., dim / 2].
template <class T>
void rotate(T* qkv, int64_t row_stride, const int64_t* positions, const float* cos,
            const float* sin, int64_t rows, int64_t heads, int64_t head_dim, int64_t rotary_dim) {
  const int64_t half = rotary_dim / 2;
#pragma omp parallel for schedule(static) if (rows > 4)
  for (int64_t t = 0; t < rows; t++) {
    const float *c = cos + positions[t] * half, *s = sin + positions[t] * half;
    for (int64_t h = 0; h < heads; h++) {
      T* x = qkv + t * row_stride + h * head_dim;
      for (int64_t d = 0; d < half; d++) {
        const float a = widen(x[d]), b = widen(x[d + half]);
        narrow(a * c[d] - b * s[d], x + d);
        narrow(b * c[d] + a * s[d], x + d + half);
      }
    }
  }
}

}  // namespace

extern "C" {

int fw_panel() { return PANEL; }

// weight [n, depth] → panels [n / PANEL][depth][PANEL], filled up with zeros
void fw_pack(const float* weight, int64_t n, int64_t depth, float* packed) {
#pragma omp parallel for
  for (int64_t p = 0; p < (n + PANEL - 1) / PANEL; p++)
    for (int64_t k = 0; k < depth; k++)
      for (int64_t j = 0; j < PANEL; j++) {
        const int64_t column = p * PANEL + j;
        packed[(p * depth + k) * PANEL + j] = column < n ? weight[column * depth + k] : 0.0f;
      }
}

// y [rows, n] = x [rows, depth] · weightᵀ + bias (+ residual); ROWS_AT_ONCE keeps x in the cache.
// With 8 or 4 bits the panels hold codes, and scales [n / PANEL][depth / GROUP][PANEL]: a panel is
// opened once a call, so that values and bits are those of the same weights in float32.
void fw_linear(const float* x, int64_t x_stride, const void* panels, int64_t bits,
               const float* scales, const float* bias, const float* residual, float* y,
               int64_t rows, int64_t n, int64_t depth) {
  constexpr int64_t ROWS_AT_ONCE = 16 * MAX_ROWS;
  const int64_t num_panels = (n + PANEL - 1) / PANEL;
#pragma omp parallel
  {
    std::vector<float> opened(bits == 32 ? 0 : depth * PANEL);
    int64_t which = -1;
#pragma omp for schedule(static) collapse(2)
    for (int64_t p = 0; p < num_panels; p++)
      for (int64_t first = 0; first < rows; first += ROWS_AT_ONCE) {
        float result[ROWS_AT_ONCE * PANEL];
        const int64_t count = std::min(ROWS_AT_ONCE, rows - first);
        const int64_t columns = std::min<int64_t>(PANEL, n - p * PANEL);
        const float* panel = static_cast<const float*>(panels) + p * depth * PANEL;
        if (bits != 32) {
          if (which != p) open_panel(panels, bits, scales, p, depth, opened.data());
          which = p;
          panel = opened.data();
        }
        rows_of_tile<false>(count, x + first * x_stride, x_stride, panel, PANEL, depth, result,
                            PANEL);
        for (int64_t r = 0; r < count; r++)
          for (int64_t j = 0; j < columns; j++) {
            const int64_t at = (first + r) * n + p * PANEL + j;
            float value = result[r * PANEL + j];
            if (bias) value += bias[p * PANEL + j];
            y[at] = residual ? residual[at] + value : value;
          }
      }
  }
}

// Of each row of logits [rows, n]: the first largest, and log of the sum of exponentials (NaN where
// a logit is NaN or +inf, or all are -inf).
void fw_reduce_logits(const float* logits, int64_t rows, int64_t n, int64_t* best, float* log_sums) {
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; r++) {
    const float* row = logits + r * n;
    int64_t i = 0;
    vf tops = all(-std::numeric_limits<float>::infinity());
    for (; i + LANES <= n; i += LANES) tops = larger(load(row + i), tops);
    float top = top_of(tops);
    for (; i < n; i++) top = std::max(top, row[i]);
    best[r] = (std::find(row, row + n, top) - row) % n;  // none in a row of NaN: 0
    double total = 0;
    for (i = 0; i < n;) {
      vf part{};
      const int64_t end = std::min(n, i + 64 * LANES);
      for (; i + LANES <= end; i += LANES) part = part + exp_negative(load(row + i) - top);
      total += sum(part);
      if (i < end) {
        for (; i < n; i++) total += std::exp(row[i] - top);
      }
    }
    log_sums[r] = top + float(std::log(total));
  }
}

// In place, each of the count values by itself.
void fw_soft_cap(float* values, int64_t count, float cap) {
  constexpr int64_t AT_ONCE = 256 * LANES;
#pragma omp parallel for schedule(static) if (count > 4 * AT_ONCE)
  for (int64_t first = 0; first < count; first += AT_ONCE)
    for (int64_t i = first; i < std::min(count, first + AT_ONCE); i += LANES)
      store(values + i, soft_cap(load(values + i, count - i), cap), count - i);
}

void fw_rms_norm_bfloat16_float32(const bf16* x, const float* weight, float eps, bf16* out,
                                  int64_t rows, int64_t n) {
  rms_norm(x, weight, eps, out, rows, n);
}

#define EXPORT(T, NAME)                                                                            \
  void fw_rms_norm_##NAME##_##NAME(const T* x, const T* weight, float eps, T* out, int64_t rows,   \
                                   int64_t n) {                                                    \
    rms_norm(x, weight, eps, out, rows, n);                                                        \
  }                                                                                                \
  void fw_silu_mul_##NAME(const T* both, T* out, int64_t rows, int64_t n) {                        \
    activate<true>(silu, both, out, rows, n);                                                      \
  }                                                                                                \
  void fw_gelu_mul_##NAME(const T* both, T* out, int64_t rows, int64_t n) {                        \
    activate<true>(gelu, both, out, rows, n);                                                      \
  }                                                                                                \
  void fw_gelu_##NAME(const T* up, T* out, int64_t rows, int64_t n) {                              \
    activate<false>(gelu, up, out, rows, n);                                                       \
  }                                                                                                \
  void fw_rotate_##NAME(T* qkv, int64_t row_stride, const int64_t* positions, const float* cos,    \
                        const float* sin, int64_t rows, int64_t heads, int64_t head_dim,           \
                        int64_t rotary_dim) {                                                      \
    rotate(qkv, row_stride, positions, cos, sin, rows, heads, head_dim, rotary_dim);               \
  }                                                                                                \
  void fw_attend_##NAME(const Attention* s, const T* q, const T* k, const T* v, int64_t stride,    \
                        T* keys, T* values, const int32_t* slots, int64_t num_tokens,              \
                        const int32_t* tiles, int64_t num_tiles, const int32_t* tables, T* out) {  \
    write(s, k, v, stride, keys, values, slots, num_tokens);                                       \
    attend(s, q, stride, keys, values, tiles, num_tiles, tables, out);                             \
  }

EXPORT(float, float32)
EXPORT(bf16, bfloat16)
}
