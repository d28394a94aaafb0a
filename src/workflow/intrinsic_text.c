/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, and objects as texts. */
#include "workflow/intrinsic_internal.h"

#include "base/buffer.h"
#include "base/hash.h"

#include <openssl/evp.h>

struct str intrinsic_text(yyjson_mut_val *value)
{
    return (struct str){ yyjson_mut_get_str(value), yyjson_mut_get_len(value) };
}

static yyjson_mut_val *text_value(const struct scope *scope, struct str text)
{
    return yyjson_mut_strncpy(scope->doc, text.len == 0 ? "" : text.data, text.len);
}

static void append_shown(const struct scope *scope, struct buffer *out, yyjson_mut_val *value);

static void append_object(const struct scope *scope, struct buffer *out, yyjson_mut_val *object)
{
    yyjson_mut_val *key, *value;
    size_t i, count;

    buffer_append_byte(out, '{');
    yyjson_mut_obj_foreach(object, i, count, key, value)
    {
        if (i > 0)
            buffer_append(out, STR(", "));
        append_shown(scope, out, key);
        buffer_append_byte(out, '=');
        append_shown(scope, out, value);
    }
    buffer_append_byte(out, '}');
}

static void append_list(const struct scope *scope, struct buffer *out, yyjson_mut_val *list)
{
    yyjson_mut_val *value;
    size_t i, count;

    buffer_append_byte(out, '[');
    yyjson_mut_arr_foreach(list, i, count, value)
    {
        if (i > 0)
            buffer_append(out, STR(", "));
        append_shown(scope, out, value);
    }
    buffer_append_byte(out, ']');
}

/* As Step Functions shows values in a text: no quotes, and objects as {key=value}. */
static void append_shown(const struct scope *scope, struct buffer *out, yyjson_mut_val *value)
{
    if (yyjson_mut_is_str(value))
        buffer_append(out, intrinsic_text(value));
    else if (yyjson_mut_is_obj(value))
        append_object(scope, out, value);
    else if (yyjson_mut_is_arr(value))
        append_list(scope, out, value);
    else
        buffer_append(out, json_mut_write(scope->arena, value));
}

/* "{}" is a place; braces that are meant as such have a backslash. */
static bool format_template(const struct scope *scope, struct str template,
                            yyjson_mut_val **args, size_t count, struct buffer *out,
                            struct fault *fault)
{
    size_t used = 0;

    for (size_t i = 0; i < template.len; i++) {
        char c = template.data[i], next = i + 1 < template.len ? template.data[i + 1] : ' ';

        if (c == '\\' && strchr("{}\\'", next) != NULL && next != '\0') {
            buffer_append_byte(out, next);
            i++;
        } else if (c == '{' && next == '}' && used < count) {
            append_shown(scope, out, args[used++]);
            i++;
        } else if (c == '{' && next == '}') {
            used = count + 1;
            break;
        } else if (c == '{' || c == '}') {
            return fault_set(scope, fault, ERROR_RUNTIME,
                             "Invalid template in States.Format: matching '%c' not found for "
                             "'%c'.",
                             c == '{' ? '}' : '{', c);
        } else {
            buffer_append_byte(out, c);
        }
    }
    if (used != count)
        return fault_set(scope, fault, ERROR_RUNTIME,
                         "Invalid arguments in States.Format: number of arguments do not match "
                         "the occurrences of {}.");
    return true;
}

static bool call_format(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    struct buffer text = { .arena = scope->arena };

    if (!yyjson_mut_is_str(args[0]))
        return intrinsic_refuse(scope, fault, "States.Format");
    if (!format_template(scope, intrinsic_text(args[0]), args + 1, count - 1, &text, fault))
        return false;
    *out = text_value(scope, buffer_str(&text));
    return true;
}

/* An empty text is null. */
static bool call_parse(const struct scope *scope, yyjson_mut_val **args, size_t count,
                       yyjson_mut_val **out, struct fault *fault)
{
    struct str text = intrinsic_text(args[0]);
    yyjson_val *value;
    struct error err;

    (void)count;
    if (!yyjson_mut_is_str(args[0]))
        return intrinsic_refuse(scope, fault, "States.StringToJson");
    *out = yyjson_mut_null(scope->doc);
    if (str_trim(text).len == 0)
        return true;
    if (json_parse(scope->arena, text, &value, &err) != STATUS_OK)
        return intrinsic_refuse(scope, fault, "States.StringToJson");
    *out = yyjson_val_mut_copy(scope->doc, value);
    return true;
}

static bool call_write(const struct scope *scope, yyjson_mut_val **args, size_t count,
                       yyjson_mut_val **out, struct fault *fault)
{
    (void)count;
    (void)fault;
    *out = text_value(scope, json_mut_write(scope->arena, args[0]));
    return true;
}

static bool is_longer_than(struct str text, size_t characters)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count > characters;
}

static bool call_encode(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    struct str text = intrinsic_text(args[0]);
    unsigned char *code;
    int len;

    (void)count;
    if (!yyjson_mut_is_str(args[0]) || is_longer_than(text, INTRINSIC_TEXT_MAX))
        return intrinsic_refuse(scope, fault, "States.Base64Encode");
    code = arena_alloc(scope->arena, text.len / 3 * 4 + 5);
    len = EVP_EncodeBlock(code, (const unsigned char *)text.data, (int)text.len);
    *out = text_value(scope, (struct str){ (const char *)code, (size_t)len });
    return true;
}

static int sextet_of(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* What is no digit is passed over, and the first '=' is the end. */
static struct str decode(struct arena *arena, struct str text)
{
    char *bytes = arena_alloc(arena, text.len);
    unsigned pending = 0, bits = 0;
    size_t len = 0;

    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        int sextet = sextet_of(text.data[i]);

        if (sextet < 0)
            continue;
        pending = (pending << 6 | (unsigned)sextet) & 0xFFFF;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        bytes[len++] = (char)(pending >> bits & 0xFF);
    }
    return arena_str_utf8(arena, (struct str){ bytes, len });
}

static bool call_decode(const struct scope *scope, yyjson_mut_val **args, size_t count,
                        yyjson_mut_val **out, struct fault *fault)
{
    struct str text = intrinsic_text(args[0]);

    (void)count;
    if (!yyjson_mut_is_str(args[0]) || is_longer_than(text, INTRINSIC_TEXT_MAX))
        return intrinsic_refuse(scope, fault, "States.Base64Decode");
    *out = text_value(scope, decode(scope->arena, text));
    return true;
}

static const EVP_MD *algorithm_of(yyjson_mut_val *name)
{
    static const struct {
        struct str name;
        const EVP_MD *(*algorithm)(void);
    } algorithms[] = {
        { STR_INIT("MD5"), EVP_md5 },        { STR_INIT("SHA-1"), EVP_sha1 },
        { STR_INIT("SHA-256"), EVP_sha256 }, { STR_INIT("SHA-384"), EVP_sha384 },
        { STR_INIT("SHA-512"), EVP_sha512 },
    };

    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        if (yyjson_mut_is_str(name) && str_equal(algorithms[i].name, intrinsic_text(name)))
            return algorithms[i].algorithm();
    return NULL;
}

/* What is no text is hashed as its JSON. */
static bool call_hash(const struct scope *scope, yyjson_mut_val **args, size_t count,
                      yyjson_mut_val **out, struct fault *fault)
{
    struct str text = yyjson_mut_is_str(args[0]) ? intrinsic_text(args[0])
                                                 : json_mut_write(scope->arena, args[0]);
    const EVP_MD *algorithm = algorithm_of(args[1]);
    struct buffer hex = { .arena = scope->arena };
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len;

    (void)count;
    if (algorithm == NULL || is_longer_than(text, INTRINSIC_TEXT_MAX) ||
        EVP_Digest(text.data, text.len, sum, &len, algorithm, NULL) != 1)
        return intrinsic_refuse(scope, fault, "States.Hash");
    for (unsigned i = 0; i < len; i++)
        buffer_printf(&hex, "%02x", sum[i]);
    *out = text_value(scope, buffer_str(&hex));
    return true;
}

static void merge_into(const struct scope *scope, yyjson_mut_val *object, yyjson_mut_val *more)
{
    yyjson_mut_val *key, *value;
    size_t i, max;

    yyjson_mut_obj_foreach(more, i, max, key, value)
    {
        yyjson_mut_val *name = yyjson_mut_val_mut_copy(scope->doc, key);
        yyjson_mut_val *copy = yyjson_mut_val_mut_copy(scope->doc, value);
        struct str text = intrinsic_text(key);

        if (yyjson_mut_obj_getn(object, text.data, text.len) != NULL)
            yyjson_mut_obj_replace(object, name, copy);
        else
            yyjson_mut_obj_add(object, name, copy);
    }
}

/* Shallow; the third argument asks for a deep one, which Step Functions does not have either. */
static bool call_merge(const struct scope *scope, yyjson_mut_val **args, size_t count,
                       yyjson_mut_val **out, struct fault *fault)
{
    (void)count;
    if (!yyjson_mut_is_obj(args[0]) || !yyjson_mut_is_obj(args[1]) ||
        yyjson_mut_is_true(args[2]))
        return intrinsic_refuse(scope, fault, "States.JsonMerge");
    *out = yyjson_mut_val_mut_copy(scope->doc, args[0]);
    merge_into(scope, *out, args[1]);
    return true;
}

/* At each of the characters of the second text; empty pieces are dropped. */
static bool call_split(const struct scope *scope, yyjson_mut_val **args, size_t count,
                       yyjson_mut_val **out, struct fault *fault)
{
    struct str text = intrinsic_text(args[0]), ends = intrinsic_text(args[1]);
    size_t start = 0, at = 0;

    (void)count;
    if (!yyjson_mut_is_str(args[0]) || !yyjson_mut_is_str(args[1]))
        return intrinsic_refuse(scope, fault, "States.StringSplit");
    *out = yyjson_mut_arr(scope->doc);
    while (at <= text.len) {
        size_t len = 1;

        while (at + len < text.len && ((unsigned char)text.data[at + len] & 0xC0) == 0x80)
            len++;
        if (at == text.len ||
            (ends.len > 0 && memmem(ends.data, ends.len, text.data + at, len) != NULL)) {
            if (at > start)
                yyjson_mut_arr_append(*out, text_value(scope, str_slice(text, start, at)));
            start = at + len;
        }
        at += len;
    }
    return true;
}

/* Of version 4: random. */
static bool call_uuid(const struct scope *scope, yyjson_mut_val **args, size_t count,
                      yyjson_mut_val **out, struct fault *fault)
{
    uint64_t high = random_u64(), low = random_u64();

    (void)args;
    (void)count;
    (void)fault;
    *out = text_value(
        scope, arena_printf(scope->arena, "%08x-%04x-4%03x-%04x-%012llx",
                            (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xFFFF),
                            (unsigned)(high & 0xFFF), (unsigned)(low >> 48 & 0x3FFF) | 0x8000,
                            (unsigned long long)(low & 0xFFFFFFFFFFFF)));
    return true;
}

const struct intrinsic text_intrinsics[] = {
    { STR_INIT("States.Format"), 1, INTRINSIC_ARGS_MAX, call_format },
    { STR_INIT("States.StringToJson"), 1, 1, call_parse },
    { STR_INIT("States.JsonToString"), 1, 1, call_write },
    { STR_INIT("States.Base64Encode"), 1, 1, call_encode },
    { STR_INIT("States.Base64Decode"), 1, 1, call_decode },
    { STR_INIT("States.Hash"), 2, 2, call_hash },
    { STR_INIT("States.JsonMerge"), 3, 3, call_merge },
    { STR_INIT("States.StringSplit"), 2, 2, call_split },
    { STR_INIT("States.UUID"), 0, 0, call_uuid },
};
const size_t text_intrinsic_count = ARRAY_LEN(text_intrinsics);
