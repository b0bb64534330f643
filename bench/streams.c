// Opens streams and reads them as a client would, event by event.
//
//   streams PORT CONNECTIONS SECONDS REQUEST_FILE
//
// REQUEST_FILE holds the whole HTTP request. Each connection sends it again as soon as its stream has ended. Prints one
// line of JSON: streams and events read, time to the first event, and the time that events travelled (upstream.c writes
// its own monotonic time into them). A stream that ends without [DONE], with an error event or with a status other
// than 200 counts as an error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18, LINE_BYTES = 1 << 14, HEAD_BYTES = 1 << 14, MAX_SAMPLES = 1 << 21, MAX_READY = 256 };
enum part { HEAD, SIZE, DATA, DATA_END, TRAILER };

struct reader {
  int fd, ended, done, failed;
  enum part part;
  size_t head_used, line_used;
  unsigned long left; // bytes of the current chunk
  long long asked_ns, first_ns;
  char head[HEAD_BYTES], line[LINE_BYTES];
};

static int poll_fd, port;
static char *request;
static size_t request_bytes;
static long long streams, events, errors;
static int first_us[MAX_SAMPLES], travel_us[MAX_SAMPLES];
static size_t firsts, travels;

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int at_share(int *values, size_t n, double share) { return n ? values[(size_t)(share * (n - 1))] : -1; }

static void ask(struct reader *r) {
  r->part = HEAD;
  r->head_used = r->line_used = 0;
  r->ended = r->done = r->failed = 0;
  r->first_ns = 0;
  r->asked_ns = now_ns();
  if (send(r->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) errors++;
}

static void dial(struct reader *r) {
  int on = 1;
  struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  r->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(r->fd, (void *)&there, sizeof there)) { perror("streams: connect"); exit(1); }
  setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(r->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = r};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, r->fd, &e);
  ask(r);
}

static void read_line(struct reader *r, const char *line, size_t n, long long now) {
  if (n < 6 || memcmp(line, "data: ", 6)) return;
  if (n >= 12 && !memcmp(line + 6, "[DONE]", 6)) { r->done = 1; return; }
  if (n >= 15 && !memcmp(line + 6, "{\"error\"", 8)) { r->failed = 1; return; }
  events++;
  if (!r->first_ns) {
    r->first_ns = now;
    if (firsts < MAX_SAMPLES) first_us[firsts++] = (now - r->asked_ns) / 1000;
  }
  char *stamp = memmem(line, n, " w@", 3);
  if (stamp && travels < MAX_SAMPLES) travel_us[travels++] = (now - atoll(stamp + 3)) / 1000;
}

// Takes bytes of the body, which any chunk boundary may cut.
static void read_body(struct reader *r, const char *bytes, size_t n, long long now) {
  while (n) {
    const char *newline = memchr(bytes, '\n', n);
    size_t part = newline ? (size_t)(newline - bytes) : n;
    if (!r->line_used && newline) read_line(r, bytes, part, now);
    else {
      if (r->line_used + part >= LINE_BYTES) { r->failed = 1; return; }
      memcpy(r->line + r->line_used, bytes, part);
      r->line_used += part;
      if (newline) { r->line[r->line_used] = 0; read_line(r, r->line, r->line_used, now); r->line_used = 0; }
    }
    bytes += part + (newline != 0);
    n -= part + (newline != 0);
  }
}

// Collects one line of the framing into head; returns the bytes taken and sets *whole at its end.
static size_t take_line(struct reader *r, const char *bytes, size_t n, int *whole) {
  const char *newline = memchr(bytes, '\n', n);
  size_t part = newline ? (size_t)(newline - bytes) + 1 : n;
  if (r->head_used + part >= HEAD_BYTES) { r->failed = r->ended = 1; return n; }
  memcpy(r->head + r->head_used, bytes, part);
  r->head_used += part;
  r->head[r->head_used] = 0;
  *whole = newline != 0;
  return part;
}

static void end_line(struct reader *r) {
  int blank = r->head[0] == '\r' || r->head[0] == '\n';
  switch (r->part) {
  case HEAD:
    if (!strncmp(r->head, "HTTP/1.", 7) && strncmp(r->head + 8, " 200", 4)) {
      if (errors < 3) fprintf(stderr, "streams: %s", r->head);
      r->failed = r->ended = 1;
    }
    if (blank) r->part = SIZE;
    break;
  case SIZE:
    r->left = strtoul(r->head, 0, 16);
    r->part = r->left ? DATA : TRAILER;
    break;
  case DATA_END: r->part = SIZE; break;
  case TRAILER: r->ended = blank; break;
  case DATA: break;
  }
  r->head_used = 0;
}

static void feed(struct reader *r, const char *bytes, size_t n, long long now) {
  while (n && !r->ended) {
    size_t part;
    if (r->part == DATA) {
      part = n < r->left ? n : r->left;
      read_body(r, bytes, part, now);
      if (!(r->left -= part)) r->part = DATA_END;
    } else {
      int whole = 0;
      part = take_line(r, bytes, n, &whole);
      if (whole) end_line(r);
    }
    bytes += part;
    n -= part;
  }
}

static void finish(struct reader *r, int reconnect) {
  if (r->done && !r->failed) streams++;
  else errors++;
  if (!reconnect) { ask(r); return; }
  close(r->fd);
  dial(r);
}

static char *read_file(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  if (!f) { perror(path); exit(1); }
  char *bytes = malloc(1 << 20);
  *n = fread(bytes, 1, 1 << 20, f);
  fclose(f);
  return bytes;
}

int main(int count, char **words) {
  if (count < 5) { fputs("usage: streams PORT CONNECTIONS SECONDS REQUEST_FILE\n", stderr); return 2; }
  port = atoi(words[1]);
  int connections = atoi(words[2]);
  request = read_file(words[4], &request_bytes);
  poll_fd = epoll_create1(0);
  struct reader *readers = calloc(connections, sizeof *readers);
  for (int i = 0; i < connections; i++) dial(&readers[i]);
  static char bytes[READ_BYTES];
  struct epoll_event ready[MAX_READY];
  long long start = now_ns(), end = start + (long long)(atof(words[3]) * 1e9);
  while (now_ns() < end && errors < 1000) {
    int n = epoll_wait(poll_fd, ready, MAX_READY, 50);
    for (int i = 0; i < n; i++) {
      struct reader *r = ready[i].data.ptr;
      ssize_t got = recv(r->fd, bytes, sizeof bytes, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got > 0) feed(r, bytes, got, now_ns());
      if (got <= 0 || r->ended) finish(r, got <= 0 || r->failed);
    }
  }
  double seconds = (now_ns() - start) / 1e9;
  qsort(first_us, firsts, sizeof *first_us, by_value);
  qsort(travel_us, travels, sizeof *travel_us, by_value);
  printf("{\"seconds\":%.3f,\"streams\":%lld,\"events\":%lld,\"errors\":%lld,\"first_p50_us\":%d,\"first_p99_us\":%d,"
         "\"travel_p50_us\":%d,\"travel_p99_us\":%d}\n",
         seconds, streams, events, errors, at_share(first_us, firsts, .5), at_share(first_us, firsts, .99),
         at_share(travel_us, travels, .5), at_share(travel_us, travels, .99));
}
