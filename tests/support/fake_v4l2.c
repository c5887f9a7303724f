/* A Video4Linux camera where the kernel's driver would begin: preloaded, it answers open, ioctl, mmap and select for one
 * path, and leaves all others alone. OpenCV's own Video4Linux code runs above it unchanged.
 *
 * FAKE_V4L2 is a folder: `device` is the path that is opened (an ordinary file), `jpeg` what mjpg frames hold. It can do
 * 640x480 at 30 Hz in mjpg and yuyv. Files in it: `gone`, it is unplugged; `silent`, no frame comes; `busy`, another streams.
 * Controls that are set are appended to `controls`. yuyv frame n has the luminance 16 + n % 200 everywhere.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#define WIDTH 640
#define HEIGHT 480
#define PERIOD_NS 33333333LL
#define BUFFERS 10
#define SIZE (WIDTH * HEIGHT * 2)
#define NEXT(name, type, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static char ours[256];               /* by descriptor */
static unsigned char *memory[BUFFERS];
static int queue[BUFFERS], queued;
static unsigned pixels = V4L2_PIX_FMT_YUYV;
static long long began_ns, frames;   /* of the stream; frames that were handed out or dropped */

static const char *file(const char *name) {
    static __thread char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("FAKE_V4L2"), name);
    return path;
}
static int there(const char *name) { return access(file(name), F_OK) == 0; }
static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static int fail(int error) { errno = error; return -1; }

static int opened(int descriptor, const char *path) {
    if (descriptor >= 0 && descriptor < 256 && getenv("FAKE_V4L2"))
        ours[descriptor] = strcmp(path, file("device")) == 0;
    return descriptor;
}
int open(const char *path, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    if (getenv("FAKE_V4L2") && !strcmp(path, file("device")) && there("gone")) return fail(ENODEV);
    return opened(NEXT("open", int, const char *, int, ...)(path, flags, mode), path);
}
int open64(const char *path, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    if (getenv("FAKE_V4L2") && !strcmp(path, file("device")) && there("gone")) return fail(ENODEV);
    return opened(NEXT("open64", int, const char *, int, ...)(path, flags, mode), path);
}
int close(int descriptor) {
    if (descriptor >= 0 && descriptor < 256) ours[descriptor] = 0;
    return NEXT("close", int, int)(descriptor);
}

static void *map(int index) {
    if (!memory[index])
        memory[index] = NEXT("mmap", void *, void *, size_t, int, int, int, off_t)(
            NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory[index];
}
void *mmap(void *at, size_t size, int protection, int flags, int descriptor, off_t offset) {
    if (descriptor >= 0 && descriptor < 256 && ours[descriptor]) return map(offset / SIZE);
    return NEXT("mmap", void *, void *, size_t, int, int, int, off_t)(at, size, protection, flags, descriptor, offset);
}
void *mmap64(void *at, size_t size, int protection, int flags, int descriptor, off64_t offset) {
    if (descriptor >= 0 && descriptor < 256 && ours[descriptor]) return map(offset / SIZE);
    return NEXT("mmap64", void *, void *, size_t, int, int, int, off64_t)(at, size, protection, flags, descriptor, offset);
}
int munmap(void *at, size_t size) {
    for (int index = 0; index < BUFFERS; index++)
        if (at == memory[index]) memory[index] = NULL;
    return NEXT("munmap", int, void *, size_t)(at, size);
}

static long long taken(void) { return began_ns ? (now_ns() - began_ns) / PERIOD_NS : 0; }
static int ready(void) { return began_ns && queued && taken() > frames && !there("silent"); }

int select(int count, fd_set *reads, fd_set *writes, fd_set *others, struct timeval *timeout) {
    if (count < 1 || count > 256 || !ours[count - 1])
        return NEXT("select", int, int, fd_set *, fd_set *, fd_set *, struct timeval *)(
            count, reads, writes, others, timeout);
    long long until = now_ns() + timeout->tv_sec * 1000000000LL + timeout->tv_usec * 1000LL;
    for (; now_ns() < until; usleep(500))
        if (there("gone") || ready()) return 1;
    return 0;
}

static int dequeue(struct v4l2_buffer *buffer) {
    if (there("gone")) return fail(ENODEV);
    if (!ready()) return fail(EAGAIN);
    frames = taken();
    int index = queue[0];
    memmove(queue, queue + 1, --queued * sizeof *queue);
    unsigned char *at = memory[index];
    buffer->bytesused = SIZE;
    if (pixels == V4L2_PIX_FMT_MJPEG) {
        FILE *jpeg = fopen(file("jpeg"), "rb");
        buffer->bytesused = fread(at, 1, SIZE, jpeg);
        fclose(jpeg);
    } else {
        memset(at, 128, SIZE);
        for (int k = 0; k < SIZE; k += 2) at[k] = 16 + frames % 200;
    }
    long long stamp_ns = began_ns + frames * PERIOD_NS;
    buffer->index = index, buffer->length = SIZE, buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = stamp_ns / 1000000000LL, buffer->timestamp.tv_usec = stamp_ns / 1000 % 1000000;
    buffer->sequence = frames;
    return 0;
}

static void fill(struct v4l2_pix_format *pix) {
    if (pix->pixelformat == V4L2_PIX_FMT_MJPEG || pix->pixelformat == V4L2_PIX_FMT_YUYV) pixels = pix->pixelformat;
    pix->pixelformat = pixels, pix->width = WIDTH, pix->height = HEIGHT;
    pix->bytesperline = WIDTH * 2, pix->sizeimage = SIZE, pix->field = V4L2_FIELD_NONE;
}

static int control(struct v4l2_control *set) {
    if (set->id == V4L2_CID_GAIN && set->value > 255) return fail(ERANGE);
    if (set->id == V4L2_CID_EXPOSURE_AUTO_PRIORITY) return fail(EINVAL); /* many webcams lack it */
    FILE *controls = fopen(file("controls"), "a");
    fprintf(controls, "%x=%d\n", set->id, set->value);
    fclose(controls);
    return 0;
}

int ioctl(int descriptor, unsigned long request, ...) {
    va_list more; va_start(more, request); void *argument = va_arg(more, void *); va_end(more);
    if (descriptor < 0 || descriptor >= 256 || !ours[descriptor])
        return NEXT("ioctl", int, int, unsigned long, ...)(descriptor, request, argument);
    struct v4l2_buffer *buffer = argument;
    switch ((unsigned)request) {
    case VIDIOC_QUERYCAP:
        memset(argument, 0, sizeof(struct v4l2_capability));
        ((struct v4l2_capability *)argument)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_S_FMT:
        if (there("busy")) return fail(EBUSY);
        /* fall through */
    case VIDIOC_G_FMT: fill(&((struct v4l2_format *)argument)->fmt.pix); return 0;
    case VIDIOC_S_PARM: case VIDIOC_G_PARM:
        ((struct v4l2_streamparm *)argument)->parm.capture.timeperframe = (struct v4l2_fract){1, 30};
        return 0;
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        if (wanted->count > BUFFERS) wanted->count = BUFFERS;
        queued = 0;
        return 0;
    }
    case VIDIOC_QUERYBUF: buffer->length = SIZE, buffer->m.offset = buffer->index * SIZE; return 0;
    case VIDIOC_QBUF: queue[queued++] = buffer->index; return 0;
    case VIDIOC_DQBUF: return dequeue(buffer);
    case VIDIOC_STREAMON: began_ns = now_ns(), frames = 0; return 0;
    case VIDIOC_STREAMOFF: began_ns = 0, queued = 0; return 0;
    case VIDIOC_S_CTRL: return control(argument);
    default: return fail(EINVAL);
    }
}
