/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/runtime/onnx_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#define FILE_NAME "libonnxruntime.so.1"
/* The oldest interface that has all we use, so that many versions of the library serve. */
#define API_WANTED 21

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const OrtApi *the_api;
static OrtEnv *the_env;
static const char *the_version;

void onnx_library_forbid_telemetry(void)
{
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
}

/* Behind the parentheses of a C++ signature; NULL if they never close. */
static const char *behind_parameters(const char *at, const char *end)
{
    size_t depth = 0;

    for (at = at == NULL ? NULL : memchr(at, '(', (size_t)(end - at)); at != NULL && at < end;
         at++) {
        depth += *at == '(';
        depth -= *at == ')';
        if (depth == 0 && (at + 1 == end || at[1] != '('))
            return at;
    }
    return NULL;
}

/* Its messages may hold a path and a C++ signature, "/onnxruntime_src/… [with …]", before the reason. */
static void split_message(struct str text, struct str *head, struct str *reason)
{
    static const struct str mark = STR_INIT("/onnxruntime_src/");
    const char *from = memmem(text.data, text.len, mark.data, mark.len);
    const char *to = memrchr(text.data, ']', text.len);

    *head = text;
    *reason = STR_EMPTY;
    if (from != NULL && (to == NULL || to < from))
        to = behind_parameters(from, text.data + text.len);
    if (from == NULL || to == NULL)
        return;
    *head = str_slice(text, 0, (size_t)(from - text.data));
    *reason = str_trim(str_slice(text, (size_t)(to + 1 - text.data), text.len));
}

/* It has no code for this, only words. */
static bool wants_memory(struct str message)
{
    static const struct str words[] = { STR_INIT("bad_alloc"), STR_INIT("allocate memory"),
                                        STR_INIT("out of memory") };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (memmem(message.data, message.len, words[i].data, words[i].len) != NULL)
            return true;
    return false;
}

enum status onnx_status(const OrtApi *api, OrtStatus *status, struct error *err)
{
    struct str head, reason;
    enum status result;

    if (status == NULL)
        return STATUS_OK;
    split_message(str_trim(str_from(api->GetErrorMessage(status))), &head, &reason);
    /* What a model does wrong is the model's fault, not ours. */
    result = error_set(
        err, wants_memory(head) || wants_memory(reason) ? STATUS_LIMIT : STATUS_INVALID,
        "ONNX Runtime: " STR_FMT STR_FMT, STR_ARG(head), STR_ARG(reason));
    api->ReleaseStatus(status);
    return result;
}

static enum status load(const OrtApi **out, struct error *err)
{
    /* Its symbols stay its own; the program's search path has the folder beside it. */
    void *handle = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
    const OrtApiBase *(*get_base)(void) = NULL;
    void *symbol;

    if (handle == NULL)
        return error_set(
            err, STATUS_UNAVAILABLE,
            "ONNX Runtime could not be loaded (%s); it belongs into the folder lib "
            "beside the program, dev/setup brings it",
            dlerror());
    /* POSIX has dlsym return functions as object pointers; the copy is how it says to take them. */
    symbol = dlsym(handle, "OrtGetApiBase");
    memcpy(&get_base, &symbol, sizeof(symbol));
    *out = get_base == NULL ? NULL : get_base()->GetApi(API_WANTED);
    the_version = get_base == NULL ? NULL : get_base()->GetVersionString();
    if (*out == NULL)
        /* NOLINTNEXTLINE(cppcheck-resourceLeak): it stays loaded, of the wrong version too */
        return error_set(err, STATUS_UNAVAILABLE,
                         FILE_NAME " is version %s; 1.%d or later is needed",
                         the_version == NULL ? "unknown" : the_version, API_WANTED);
    return STATUS_OK; /* NOLINT(cppcheck-resourceLeak): it stays loaded */
}

static enum status open_once(struct error *err)
{
    const OrtApi *api;

    if (the_env != NULL)
        return STATUS_OK;
    TRY(load(&api, err));
    /* Whatever goes wrong comes back as a status; its own log would only repeat it. */
    TRY(onnx_status(api, api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "onggi", &the_env), err));
    the_api = api;
    return onnx_status(api, api->DisableTelemetryEvents(the_env), err);
}

const char *onnx_library_version(void)
{
    return the_version;
}

enum status onnx_library_get(const OrtApi **api, OrtEnv **env, struct error *err)
{
    enum status status;

    pthread_mutex_lock(&lock);
    status = open_once(err);
    *api = the_api;
    *env = the_env;
    pthread_mutex_unlock(&lock);
    return status;
}
