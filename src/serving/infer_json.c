/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/infer_json.h"

#include "base/json.h"

#include <float.h>
#include <math.h>

/* --- data ----------------------------------------------------------------- */

struct filling {
    struct tensor *tensor;
    size_t filled;
    struct error *err;
};

static enum status unfit(struct filling *filling, yyjson_val *item)
{
    return error_set(filling->err, STATUS_INVALID,
                     "input '" STR_FMT "': element %zu: expected %s, found %s%s",
                     STR_ARG(filling->tensor->name), filling->filled,
                     tensor_type_name(filling->tensor->type), yyjson_get_type_desc(item),
                     yyjson_is_num(item) ? " beyond it" : "");
}

/* JSON has no words for these; as everywhere here they are strings. */
static bool read_number(yyjson_val *item, double *out)
{
    struct str text = json_str(item);

    if (yyjson_is_num(item))
        *out = yyjson_get_num(item);
    else if (str_equal(text, STR("NaN")))
        *out = (double)NAN;
    else if (str_equal(text, STR("Infinity")))
        *out = (double)INFINITY;
    else if (str_equal(text, STR("-Infinity")))
        *out = -(double)INFINITY;
    else
        return false;
    return true;
}

/* The infinities have words of their own; a number must not become one in silence. */
static bool fits_float(double number)
{
    return !isfinite(number) || (number <= (double)FLT_MAX && number >= -(double)FLT_MAX);
}

static bool read_integer(yyjson_val *item, int64_t min, int64_t max, int64_t *out)
{
    if (!yyjson_is_int(item) || (yyjson_is_uint(item) && yyjson_get_uint(item) > INT64_MAX))
        return false;
    *out = yyjson_get_sint(item);
    return *out >= min && *out <= max;
}

static bool read_element(struct tensor *tensor, size_t at, yyjson_val *item)
{
    int64_t integer = 0;
    double number = 0;
    bool good = false;

    switch (tensor->type) {
    case TENSOR_FLOAT32:
        good = read_number(item, &number) && fits_float(number);
        tensor->floats[at] = (float)number;
        break;
    case TENSOR_FLOAT64:
        good = read_number(item, &tensor->doubles[at]);
        break;
    case TENSOR_INT32:
        good = read_integer(item, INT32_MIN, INT32_MAX, &integer);
        tensor->int32s[at] = good ? (int32_t)integer : 0;
        break;
    case TENSOR_INT64:
        good = read_integer(item, INT64_MIN, INT64_MAX, &tensor->int64s[at]);
        break;
    case TENSOR_BOOL:
        good = yyjson_is_bool(item);
        tensor->booleans[at] = yyjson_get_bool(item);
        break;
    case TENSOR_STRING:
        good = yyjson_is_str(item);
        tensor->strings[at] = json_str(item);
        break;
    }
    return good;
}

static enum status misshapen(struct filling *filling)
{
    return error_set(filling->err, STATUS_INVALID,
                     "input '" STR_FMT "': data does not have its shape",
                     STR_ARG(filling->tensor->name));
}

/* All elements in one list, or lists in lists as the shape has it. The recursion ends with the rank. */
static enum status read_list(struct filling *filling, yyjson_val *list, size_t depth,
                             size_t rank)
{
    bool is_last = depth + 1 >= rank;
    size_t i, max;
    yyjson_val *item;

    yyjson_arr_foreach(list, i, max, item)
    {
        if (!is_last) {
            if (!yyjson_is_arr(item) ||
                yyjson_arr_size(item) != (size_t)filling->tensor->dims[depth + 1])
                return misshapen(filling);
            TRY(read_list(filling, item, depth + 1, rank));
            continue;
        }
        if (!read_element(filling->tensor, filling->filled, item))
            return unfit(filling, item);
        filling->filled++;
    }
    return STATUS_OK;
}

static enum status read_data(struct tensor *tensor, yyjson_val *data, struct error *err)
{
    struct filling filling = { .tensor = tensor, .err = err };
    bool is_nested = yyjson_is_arr(yyjson_arr_get_first(data)) && tensor->rank > 1;

    if (yyjson_arr_size(data) != (is_nested ? (size_t)tensor->dims[0] : tensor->count))
        return misshapen(&filling);
    return read_list(&filling, data, 0, is_nested ? tensor->rank : 1);
}

/* --- the request ---------------------------------------------------------- */

static enum status read_shape(yyjson_val *shape, struct tensor *tensor, struct error *err)
{
    size_t i, max;
    yyjson_val *item;

    if (yyjson_arr_size(shape) > TENSOR_RANK_MAX)
        return error_set(err, STATUS_INVALID, "input '" STR_FMT "': more than %d dimensions",
                         STR_ARG(tensor->name), TENSOR_RANK_MAX);
    yyjson_arr_foreach(shape, i, max, item)
    {
        if (!read_integer(item, 0, INT64_MAX, &tensor->dims[i]))
            return error_set(err, STATUS_INVALID,
                             "input '" STR_FMT "': shape: dimension %zu is no natural number",
                             STR_ARG(tensor->name), i);
    }
    tensor->rank = yyjson_arr_size(shape);
    return STATUS_OK;
}

static enum status read_type(yyjson_val *input, struct tensor *tensor, struct error *err)
{
    struct str name;

    TRY(json_need_str(input, "datatype", &name, err));
    if (tensor_type_parse(name, &tensor->type))
        return STATUS_OK;
    return error_set(err, STATUS_INVALID,
                     "input '" STR_FMT "': datatype '" STR_FMT
                     "' is not served; FP32, FP64, INT32, "
                     "INT64, BOOL and BYTES are",
                     STR_ARG(tensor->name), STR_ARG(str_slice(name, 0, 40)));
}

/*
 * What changes the meaning of a tensor must not be passed over. That outputs are wanted in binary form
 * may be: clients look into the reply for the form that it has.
 */
static enum status refuse_extension(yyjson_val *object, struct error *err)
{
    static const struct {
        const char *key;
        const char *advice;
    } refused[] = {
        { "binary_data_size", "send tensors as JSON (tritonclient: binary_data=False)" },
        { "shared_memory_region", "send tensors as JSON, not in shared memory" },
        { "classification", "ask for the output itself (tritonclient: class_count=0)" },
    };
    yyjson_val *parameters = json_find(object, STR("parameters"));

    for (size_t i = 0; yyjson_is_obj(parameters) && i < ARRAY_LEN(refused); i++)
        if (json_find(parameters, str_from(refused[i].key)) != NULL)
            return error_set(err, STATUS_INVALID, "parameter '%s' is not offered; %s",
                             refused[i].key, refused[i].advice);
    return STATUS_OK;
}

/* A body cannot hold more elements than bytes: whatever shape claims more is refused unallocated. */
static enum status read_input(struct arena *arena, yyjson_val *input, size_t elements_max,
                              struct tensor *out, struct error *err)
{
    struct tensor tensor = { 0 };
    yyjson_val *shape = NULL, *data = NULL;
    enum status status;

    if (!yyjson_is_obj(input))
        return error_set(err, STATUS_INVALID, "inputs: expected objects");
    TRY(json_need_str(input, "name", &tensor.name, err));
    TRY(refuse_extension(input, err));
    TRY(json_want_array(input, "shape", &shape, err));
    TRY(json_want_array(input, "data", &data, err));
    if (shape == NULL || data == NULL)
        return error_set(err, STATUS_INVALID, "input '" STR_FMT "': '%s' is missing",
                         STR_ARG(str_slice(tensor.name, 0, 80)),
                         shape == NULL ? "shape" : "data");
    TRY(read_type(input, &tensor, err));
    TRY(read_shape(shape, &tensor, err));
    if (tensor_count(tensor.dims, tensor.rank, elements_max, &tensor.count, err) != STATUS_OK)
        return error_set(err, STATUS_INVALID,
                         "input '" STR_FMT "': shape " STR_FMT " has more elements than data",
                         STR_ARG(str_slice(tensor.name, 0, 80)),
                         STR_ARG(tensor_shape_text(arena, tensor.dims, tensor.rank)));
    tensor.data = arena_array(arena, tensor.count, tensor_type_size(tensor.type));
    status = read_data(&tensor, data, err);
    *out = tensor;
    return status;
}

static enum status read_inputs(struct arena *arena, yyjson_val *root, size_t elements_max,
                               struct infer_request *out, struct error *err)
{
    yyjson_val *inputs = NULL, *input;
    size_t i, max;

    TRY(json_want_array(root, "inputs", &inputs, err));
    if (inputs == NULL)
        return error_set(err, STATUS_INVALID, "'inputs' is missing");
    out->input_count = yyjson_arr_size(inputs);
    out->inputs = ARENA_ARRAY(arena, struct tensor, out->input_count);
    yyjson_arr_foreach(inputs, i, max, input)
        TRY(read_input(arena, input, elements_max, &out->inputs[i], err));
    return STATUS_OK;
}

struct offer {
    const struct tensor_spec *outputs;
    size_t count;
};

static enum status find_output(const struct offer *offer, struct str name, size_t *out,
                               struct error *err)
{
    for (*out = 0; *out < offer->count; (*out)++)
        if (str_equal(offer->outputs[*out].name, name))
            return STATUS_OK;
    return error_set(err, STATUS_INVALID, "unknown output '" STR_FMT "'",
                     STR_ARG(str_slice(name, 0, 80)));
}

static enum status read_output(const struct offer *offer, yyjson_val *output,
                               struct infer_request *out, struct error *err)
{
    struct str name;
    size_t index;

    if (!yyjson_is_obj(output))
        return error_set(err, STATUS_INVALID, "outputs: expected objects");
    TRY(json_need_str(output, "name", &name, err));
    TRY(refuse_extension(output, err));
    TRY(find_output(offer, name, &index, err));
    for (size_t i = 0; i < out->output_count; i++)
        if (out->outputs[i] == index)
            return error_set(err, STATUS_INVALID, "output '" STR_FMT "' is asked for twice",
                             STR_ARG(name));
    out->outputs[out->output_count++] = index;
    return STATUS_OK;
}

/* None named means all. */
static enum status read_outputs(struct arena *arena, yyjson_val *root,
                                const struct offer *offer, struct infer_request *out,
                                struct error *err)
{
    yyjson_val *outputs = NULL, *output;
    size_t i, max;

    TRY(json_want_array(root, "outputs", &outputs, err));
    out->outputs = ARENA_ARRAY(arena, size_t, offer->count);
    yyjson_arr_foreach(outputs, i, max, output) TRY(read_output(offer, output, out, err));
    if (out->output_count > 0)
        return STATUS_OK;
    for (size_t k = 0; k < offer->count; k++)
        out->outputs[k] = k;
    out->output_count = offer->count;
    return STATUS_OK;
}

enum status infer_request_parse(struct arena *arena, struct str body,
                                const struct tensor_spec *outputs, size_t output_count,
                                struct infer_request *out, struct error *err)
{
    const struct offer offer = { outputs, output_count };
    struct infer_request request = { .id = STR_EMPTY };
    yyjson_val *root;

    TRY(json_parse(arena, body, &root, err));
    if (!yyjson_is_obj(root))
        return error_set(err, STATUS_INVALID, "expected a JSON object");
    TRY(json_want_str(root, "id", &request.id, err));
    TRY(read_inputs(arena, root, body.len, &request, err));
    TRY(read_outputs(arena, root, &offer, &request, err));
    *out = request;
    return STATUS_OK;
}

/* --- the reply ------------------------------------------------------------ */

static enum status write_data(struct buffer *out, const struct tensor *tensor,
                              struct error *err)
{
    for (size_t i = 0; i < tensor->count; i++) {
        struct value value = tensor_value(tensor, i);

        if (value.type == TYPE_STRING && !str_is_utf8(value.text))
            return error_set(err, STATUS_INVALID,
                             "output '" STR_FMT "' holds bytes that are no UTF-8",
                             STR_ARG(tensor->name));
        if (i > 0)
            buffer_append_byte(out, ',');
        json_write_value(out, value);
    }
    return STATUS_OK;
}

static enum status write_output(struct buffer *out, const struct tensor *tensor,
                                struct error *err)
{
    buffer_append(out, STR("{\"name\":"));
    json_write_str(out, tensor->name);
    buffer_printf(out, ",\"datatype\":\"%s\",\"shape\":[", tensor_type_name(tensor->type));
    for (size_t i = 0; i < tensor->rank; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        json_write_int64(out, tensor->dims[i]);
    }
    buffer_append(out, STR("],\"data\":["));
    TRY(write_data(out, tensor, err));
    buffer_append(out, STR("]}"));
    return STATUS_OK;
}

enum status infer_reply_write(struct buffer *out, const struct model *model,
                              const struct infer_request *request, const struct tensor *outputs,
                              struct error *err)
{
    buffer_append(out, STR("{\"model_name\":"));
    json_write_str(out, model_name(model));
    buffer_printf(out, ",\"model_version\":\"%lld\"", (long long)model_version_number(model));
    if (request->id.len > 0) {
        buffer_append(out, STR(",\"id\":"));
        json_write_str(out, request->id);
    }
    buffer_append(out, STR(",\"outputs\":["));
    for (size_t i = 0; i < request->output_count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        TRY(write_output(out, &outputs[request->outputs[i]], err));
    }
    buffer_append(out, STR("]}"));
    return STATUS_OK;
}
