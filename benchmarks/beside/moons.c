// A hand-written bound: ELU, softmax cross-entropy, L2, Adam, one thread, samples in columns so that loops over a batch
// are vector instructions. Compiled with -DN=rows -DB=batch -DRATE=learning_rate -DL2=penalty; arguments: a file of X
// and y, a number of epochs. Prints seconds a step and the mean loss of the last epoch.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { I = 2, H = 6, G = 4, O = 2, PARAMETERS = I * H + H + H * G + G + G * O + O };

static float X[N][I];
static int Y[N], order[N];
static float weights[PARAMETERS], gradients[PARAMETERS], m[PARAMETERS], v[PARAMETERS];
static float x[I][B], h[H][B], z[G][B], o[O][B], dh[H][B], dz[G][B], d[O][B];

static inline __attribute__((always_inline)) void dense(int n_in, int n_out, float (*in)[B], float (*out)[B],
                                                        const float *kernel, const float *bias, int elu) {
  for (int j = 0; j < n_out; j++)
    for (int k = 0; k < B; k++) {
      float t = bias[j];
      for (int i = 0; i < n_in; i++) t += kernel[i * n_out + j] * in[i][k];
      out[j][k] = t;
    }
  for (int j = 0; elu && j < n_out; j++)
    for (int k = 0; k < B; k++) {
      float t = out[j][k], below = expf(t) - 1;
      out[j][k] = t > 0 ? t : below;
    }
}

// The gradients of a layer's kernel and bias, and unless din is NULL of what went into it: an ELU's outputs.
static inline __attribute__((always_inline)) void backward(int n_in, int n_out, float (*in)[B], float (*dout)[B],
                                                           float (*din)[B], const float *kernel, float *dkernel,
                                                           float *dbias) {
  for (int i = 0; i < n_in; i++)
    for (int j = 0; j < n_out; j++) {
      float t = 0;
      for (int k = 0; k < B; k++) t += in[i][k] * dout[j][k];
      dkernel[i * n_out + j] = t + (float)L2 * kernel[i * n_out + j];
    }
  for (int j = 0; j < n_out; j++) {
    float t = 0;
    for (int k = 0; k < B; k++) t += dout[j][k];
    dbias[j] = t;
  }
  for (int i = 0; din && i < n_in; i++)
    for (int k = 0; k < B; k++) {
      float t = 0;
      for (int j = 0; j < n_out; j++) t += kernel[i * n_out + j] * dout[j][k];
      din[i][k] = t * (in[i][k] > 0 ? 1 : in[i][k] + 1);
    }
}

// The mean loss, and its gradient with respect to the logits in d.
static inline float cross_entropy(const int *rows) {
  float loss = 0;
  for (int k = 0; k < B; k++) {
    float most = fmaxf(o[0][k], o[1][k]), e0 = expf(o[0][k] - most), e1 = expf(o[1][k] - most), sum = e0 + e1;
    int y = Y[rows[k]];
    d[0][k] = (e0 / sum - (y == 0)) / B;
    d[1][k] = (e1 / sum - (y == 1)) / B;
    loss -= logf((y ? e1 : e0) / sum);
  }
  return loss / B;
}

static inline void adam(float power1, float power2) {
  float rate = (float)RATE * sqrtf(1 - power2) / (1 - power1);
  for (int i = 0; i < PARAMETERS; i++) {
    m[i] += .1f * (gradients[i] - m[i]);
    v[i] += .001f * (gradients[i] * gradients[i] - v[i]);
    weights[i] -= rate * m[i] / (sqrtf(v[i]) + 1e-8f);
  }
}

static float step(const int *rows) {
  float *w1 = weights, *b1 = w1 + I * H, *w2 = b1 + H, *b2 = w2 + H * G, *w3 = b2 + G, *b3 = w3 + G * O;
  float *dw1 = gradients, *db1 = dw1 + I * H, *dw2 = db1 + H, *db2 = dw2 + H * G, *dw3 = db2 + G, *db3 = dw3 + G * O;
  for (int k = 0; k < B; k++)
    for (int i = 0; i < I; i++) x[i][k] = X[rows[k]][i];
  dense(I, H, x, h, w1, b1, 1);
  dense(H, G, h, z, w2, b2, 1);
  dense(G, O, z, o, w3, b3, 0);
  float loss = cross_entropy(rows);
  backward(G, O, z, d, dz, w3, dw3, db3);
  backward(H, G, h, dz, dh, w2, dw2, db2);
  backward(I, H, x, dh, NULL, w1, dw1, db1);
  return loss;
}

static void shuffle(void) {
  for (int i = N - 1; i > 0; i--) {
    int j = rand() % (i + 1), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
}

int main(int argc, char **argv) {
  FILE *file = argc == 3 ? fopen(argv[1], "rb") : NULL;
  if (!file || fread(X, sizeof X, 1, file) != 1 || fread(Y, sizeof Y, 1, file) != 1) return 1;
  for (int i = 0; i < N; i++) order[i] = i;
  for (int i = 0; i < PARAMETERS; i++) weights[i] = rand() / (float)RAND_MAX - .5f;
  float power1 = 1, power2 = 1, loss = 0;
  int epochs = atoi(argv[2]);
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int e = 0; e < epochs; e++) {
    shuffle();
    loss = 0;
    for (int s = 0; s < N; s += B) {
      loss += step(order + s);
      adam(power1 *= .9f, power2 *= .999f);
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  double seconds = (to.tv_sec - from.tv_sec) + 1e-9 * (to.tv_nsec - from.tv_nsec);
  printf("%.9g %.6f\n", seconds / epochs / (N / B), loss / (N / B));
}
