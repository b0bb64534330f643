// A stand-in for a provider: answers chat, streamed chat and embeddings as fast as one core can.
//
//   upstream PORT
//
// POST with "stream":true gets 100 content events; "seed":N in the body is the pause between two events in
// microseconds (absent or 0: the whole stream in one write). Each event carries the monotonic time at which it was
// made as "@<nanoseconds>", so that the reader can tell how long it travelled. A path that ends with "embeddings" gets
// 100 vectors of 1,536 floats, any other POST a 1 KB completion. Anything without the right key gets 401: a gateway
// that did not swap the caller's key for its own cannot be measured.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 100, IN_BYTES = 1 << 20, VECTORS = 100, DIMENSIONS = 1536, MAX_READY = 256 };

struct text { char *at; size_t used, room; };

struct peer {
  int fd;
  size_t in_used, sent;
  char *in;
  struct text out;
  int next_event;      // of a paced stream; EVENTS + 2 once it is over
  long long due, pause; // ns
  struct peer *next;   // in the list of paced streams
  int paced, gone, blocked;
};

static int poll_fd, timer_fd;
static struct peer *paced;
static struct text completion, embeddings;
static const char denied[] =
    "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n"
    "{\"error\":{\"message\":\"upstream key?\"}}";
static const char models[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n"
    "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\"}]}";
static const char stream_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\n"
    "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void append(struct text *t, const char *bytes, size_t n) {
  if (t->used + n > t->room) {
    while (t->used + n > t->room) t->room = t->room ? t->room * 2 : 4096;
    if (!(t->at = realloc(t->at, t->room))) exit(2);
  }
  memcpy(t->at + t->used, bytes, n);
  t->used += n;
}

static void build_reply(struct text *reply, struct text *body) {
  char head[256];
  int n = snprintf(head, sizeof head,
                   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n"
                   "x-ratelimit-remaining-requests: 9999\r\nContent-Length: %zu\r\n\r\n", body->used);
  append(reply, head, n);
  append(reply, body->at, body->used);
}

static void build_replies(void) {
  struct text body = {0};
  const char *start =
      "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"gpt-4o-mini-2024-07-18\","
      "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
  const char *end =
      "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":150,"
      "\"completion_tokens\":80,\"total_tokens\":230,\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
      "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}},\"service_tier\":\"default\","
      "\"system_fingerprint\":\"fp_bench\"}";
  append(&body, start, strlen(start));
  for (int i = 0; i < 10; i++) append(&body, "A gateway should cost less than the wire it sits on. ", 53);
  append(&body, end, strlen(end));
  build_reply(&completion, &body);
  body.used = 0;
  append(&body, "{\"object\":\"list\",\"data\":[", 25);
  for (int v = 0; v < VECTORS; v++) {
    char item[64];
    append(&body, item, snprintf(item, sizeof item, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":[", v ? "," : "", v));
    for (int d = 0; d < DIMENSIONS; d++)
      append(&body, item, snprintf(item, sizeof item, "%s%.8f", d ? "," : "", ((v * 7919 + d * 104729) % 20011 - 10005) / 250000.0));
    append(&body, "]}", 2);
  }
  const char *usage = "],\"model\":\"text-embedding-3-small\",\"usage\":{\"prompt_tokens\":800,\"total_tokens\":800}}";
  append(&body, usage, strlen(usage));
  build_reply(&embeddings, &body);
  free(body.at);
}

// Event 0 names the role, 1..EVENTS carry text, EVENTS + 1 ends: reason, usage, [DONE] and the last chunk.
static void append_event(struct text *out, int event) {
  char payload[1600], framed[1700];
  const char *name = "data: {\"id\":\"chatcmpl-BenchQ0xYp7Zr2Lk9Vw4Tn1Hc6Jd8\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
                     "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench12345\"";
  const char *rest = "\"logprobs\":null,\"finish_reason\":";
  int n;
  if (event == 0)
    n = snprintf(payload, sizeof payload, "%s,\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\","
                 "\"refusal\":null},%snull}],\"usage\":null}\n\n", name, rest);
  else if (event <= EVENTS)
    n = snprintf(payload, sizeof payload, "%s,\"choices\":[{\"index\":0,\"delta\":{\"content\":\" w@%lld\"},%snull}],"
                 "\"usage\":null}\n\n", name, now_ns(), rest);
  else
    n = snprintf(payload, sizeof payload, "%s,\"choices\":[{\"index\":0,\"delta\":{},%s\"stop\"}],\"usage\":null}\n\n"
                 "%s,\"choices\":[],\"usage\":{\"prompt_tokens\":150,\"completion_tokens\":100,\"total_tokens\":250,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":"
                 "{\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":0,"
                 "\"rejected_prediction_tokens\":0}}}\n\ndata: [DONE]\n\n", name, rest, name);
  append(out, framed, snprintf(framed, sizeof framed, "%x\r\n%s\r\n%s", n, payload, event > EVENTS ? "0\r\n\r\n" : ""));
}

static void watch(struct peer *p, int add, int write_too) {
  struct epoll_event e = {.events = EPOLLIN | (write_too ? EPOLLOUT : 0), .data.ptr = p};
  epoll_ctl(poll_fd, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, p->fd, &e);
}

static void release(struct peer *p) {
  if (!p->gone) close(p->fd);
  p->gone = 1;
  if (p->paced) return; // the list of paced streams lets go of it
  free(p->in);
  free(p->out.at);
  free(p);
}

// Sends what is waiting; returns 0 when the peer is gone.
static int flush_out(struct peer *p) {
  while (p->sent < p->out.used) {
    ssize_t n = send(p->fd, p->out.at + p->sent, p->out.used - p->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      if (!p->blocked) watch(p, 0, 1);
      p->blocked = 1;
      return 1;
    }
    if (n <= 0) return 0;
    p->sent += n;
  }
  if (p->blocked) watch(p, 0, 0);
  p->blocked = 0;
  p->sent = p->out.used = 0;
  return 1;
}

static void arm_timer(void) {
  long long first = 0;
  for (struct peer *p = paced; p; p = p->next)
    if (!p->gone && (!first || p->due < first)) first = p->due;
  struct itimerspec at = {.it_value = {first / 1000000000LL, first % 1000000000LL}};
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, 0);
}

static void start_stream(struct peer *p, long long pause_ns) {
  append(&p->out, stream_head, sizeof stream_head - 1);
  append_event(&p->out, 0);
  if (!pause_ns) {
    for (int event = 1; event <= EVENTS + 1; event++) append_event(&p->out, event);
    return;
  }
  p->next_event = 1;
  p->pause = pause_ns;
  p->due = now_ns() + pause_ns;
  if (!p->paced) {
    p->paced = 1;
    p->next = paced;
    paced = p;
  }
  arm_timer();
}

// Answers one whole request at the start of the buffer; returns its bytes, 0 when it is not whole yet.
static size_t answer(struct peer *p) {
  char *end = memmem(p->in, p->in_used, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head = end - p->in + 4, whole = head;
  *end = 0;
  char *length = strcasestr(p->in, "\r\ncontent-length:");
  int allowed = strstr(p->in, "Bearer sk-upstream") != 0, posts = p->in[0] == 'P';
  char *line_end = strchr(p->in, '\r');
  int embeds = memmem(p->in, (line_end ? line_end : end) - p->in, "embeddings", 10) != 0;
  if (length) whole += strtoul(length + 17, 0, 10);
  *end = '\r';
  if (p->in_used < whole) return 0;
  char *body = p->in + head;
  size_t body_bytes = whole - head;
  if (!posts) append(&p->out, models, sizeof models - 1);
  else if (!allowed) append(&p->out, denied, sizeof denied - 1);
  else if (embeds) append(&p->out, embeddings.at, embeddings.used);
  else if (memmem(body, body_bytes, "\"stream\":true", 13)) {
    char *seed = memmem(body, body_bytes, "\"seed\":", 7);
    start_stream(p, seed ? atoll(seed + 7) * 1000 : 0);
  } else append(&p->out, completion.at, completion.used);
  return whole;
}

// Reads what came and answers it; returns 0 when the peer is gone.
static int serve(struct peer *p) {
  ssize_t n = recv(p->fd, p->in + p->in_used, IN_BYTES - p->in_used, 0);
  if (n < 0 && errno == EAGAIN) return 1;
  if (n <= 0) return 0;
  p->in_used += n;
  for (size_t whole; p->in_used && (whole = answer(p));) {
    memmove(p->in, p->in + whole, p->in_used - whole);
    p->in_used -= whole;
  }
  return p->in_used < IN_BYTES && flush_out(p);
}

static void welcome(int listener) {
  for (int fd; (fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer *p = calloc(1, sizeof *p);
    p->fd = fd;
    p->in = malloc(IN_BYTES);
    watch(p, 1, 0);
  }
}

static void advance_streams(void) {
  unsigned long long fired;
  if (read(timer_fd, &fired, sizeof fired) < 0) return;
  long long now = now_ns();
  for (struct peer **at = &paced, *p; (p = *at);) {
    while (!p->gone && p->next_event <= EVENTS + 1 && p->due <= now) {
      append_event(&p->out, p->next_event++);
      p->due += p->pause;
    }
    if (!p->gone && p->out.used && !flush_out(p)) release(p);
    if (p->gone || p->next_event > EVENTS + 1) {
      *at = p->next;
      p->paced = 0;
      if (p->gone) release(p);
    } else at = &p->next;
  }
  arm_timer();
}

int main(int count, char **words) {
  if (count < 2) { fputs("usage: upstream PORT\n", stderr); return 2; }
  signal(SIGPIPE, SIG_IGN);
  build_replies();
  int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) { perror("upstream"); return 1; }
  poll_fd = epoll_create1(0);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event ready[MAX_READY];
  struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &listener}, on_timer = {.events = EPOLLIN, .data.ptr = &timer_fd};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &on_listener);
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer_fd, &on_timer);
  for (;;) {
    int n = epoll_wait(poll_fd, ready, MAX_READY, -1), timed = 0;
    for (int i = 0; i < n; i++) {
      if (ready[i].data.ptr == &listener) { welcome(listener); continue; }
      if (ready[i].data.ptr == &timer_fd) { timed = 1; continue; }
      struct peer *p = ready[i].data.ptr;
      if (p->gone) continue;
      if ((ready[i].events & EPOLLOUT && !flush_out(p)) || (ready[i].events & ~EPOLLOUT && !serve(p))) release(p);
    }
    if (timed) advance_streams();
  }
}
