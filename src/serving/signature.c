/* SPDX-License-Identifier: Apache-2.0 */
#include "serving/signature.h"

#include "base/json.h"

#define FEATURES_MAX 10000

/* --- names ---------------------------------------------------------------- */

static enum status read_names(struct arena *arena, yyjson_val *list, struct str **out,
                              size_t *count, struct error *err)
{
    struct str *names = ARENA_ARRAY(arena, struct str, yyjson_arr_size(list));
    size_t i, max;
    yyjson_val *item;

    yyjson_arr_foreach(list, i, max, item)
    {
        if (!yyjson_is_str(item) || yyjson_get_len(item) == 0)
            return error_set(err, STATUS_INVALID, "features: item %zu is no name", i);
        names[i] = json_str(item);
        for (size_t k = 0; k < i; k++)
            if (str_equal(names[k], names[i]))
                return error_set(err, STATUS_INVALID, "features: '" STR_FMT "' is listed twice",
                                 STR_ARG(names[i]));
    }
    *out = names;
    *count = yyjson_arr_size(list);
    return STATUS_OK;
}

enum status signature_names(struct arena *arena, struct str json, struct str **out,
                            size_t *count, struct error *err)
{
    yyjson_val *root, *list;

    *out = NULL;
    *count = 0;
    if (str_trim(json).len == 0)
        return STATUS_OK;
    if (json_parse(arena, json, &root, err) != STATUS_OK)
        return error_wrap(err, "features");
    list = yyjson_is_arr(root) ? root : json_find(root, STR("features"));
    if (list == NULL && yyjson_is_obj(root))
        return STATUS_OK;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > FEATURES_MAX)
        return error_set(err, STATUS_INVALID, "features: expected a list of names");
    return read_names(arena, list, out, count, err);
}

/* --- places --------------------------------------------------------------- */

/* Columns of one row; 0: the caller chooses; -1: no row of features can fill it. */
static int64_t spec_width(const struct tensor_spec *spec)
{
    if (spec->rank == 0 || spec->rank > 2)
        return -1;
    if (spec->dims[0] != TENSOR_ANY && spec->dims[0] != 1)
        return -1;
    if (spec->rank == 1)
        return 1;
    return spec->dims[1] == TENSOR_ANY ? 0 : spec->dims[1];
}

struct widths {
    int64_t known; /* the sum of those that are fixed */
    size_t open;   /* how many the caller chooses */
    bool fillable;
};

static struct widths widths_of(const struct tensor_spec *inputs, size_t count)
{
    struct widths widths = { .fillable = count > 0 };

    for (size_t i = 0; i < count; i++) {
        int64_t width = spec_width(&inputs[i]);

        if (width < 0 || width > FEATURES_MAX)
            widths.fillable = false;
        else if (width == 0)
            widths.open++;
        else
            widths.known += width;
    }
    return widths;
}

static size_t find_name(const struct str *names, size_t count, struct str wanted)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(names[i], wanted))
            return i;
    return count;
}

/* One column an input, and each input is called like a feature: then names decide, not the order. */
static bool is_by_name(const struct tensor_spec *inputs, size_t input_count,
                       const struct str *names, size_t name_count)
{
    if (input_count != name_count)
        return false;
    for (size_t i = 0; i < input_count; i++)
        if (spec_width(&inputs[i]) > 1 ||
            find_name(names, name_count, inputs[i].name) == name_count)
            return false;
    return true;
}

static void place(struct signature *signature, size_t feature, const struct tensor_spec *inputs,
                  size_t input, size_t column)
{
    signature->places[feature] = (struct feature_place){ input, column };
    signature->features[feature].type = tensor_value_type(inputs[input].type);
    signature->widths[input]++;
}

static void place_by_name(struct signature *signature, const struct tensor_spec *inputs,
                          size_t input_count, const struct str *names)
{
    for (size_t i = 0; i < input_count; i++)
        place(signature, find_name(names, signature->feature_count, inputs[i].name), inputs, i,
              0);
}

static void place_in_order(struct signature *signature, const struct tensor_spec *inputs,
                           size_t input_count, int64_t open_width)
{
    size_t feature = 0;

    for (size_t i = 0; i < input_count; i++) {
        int64_t width = spec_width(&inputs[i]);

        width = width == 0 ? open_width : width;
        for (int64_t column = 0; column < width; column++)
            place(signature, feature++, inputs, i, (size_t)column);
    }
}

/* The inputs as one row has them. */
static struct tensor_spec *row_specs(struct arena *arena, const struct signature *signature,
                                     const struct tensor_spec *inputs, size_t count)
{
    struct tensor_spec *row = ARENA_ARRAY(arena, struct tensor_spec, count);

    for (size_t i = 0; i < count; i++) {
        row[i] = inputs[i];
        row[i].dims[0] = 1;
        if (row[i].rank == 2)
            row[i].dims[1] = (int64_t)signature->widths[i];
    }
    return row;
}

/* Without names the inputs' own count; an input of several columns then has none to give. */
static void own_names(struct arena *arena, const struct tensor_spec *inputs, size_t input_count,
                      const struct str **names, size_t *count)
{
    struct str *own = ARENA_ARRAY(arena, struct str, input_count);

    for (size_t i = 0; i < input_count; i++) {
        if (spec_width(&inputs[i]) != 1)
            return;
        own[i] = inputs[i].name;
    }
    *names = own;
    *count = input_count;
}

static struct str shapes_text(struct arena *arena, const struct tensor_spec *inputs,
                              size_t count)
{
    struct str text = STR_EMPTY;

    for (size_t i = 0; i < count && text.len < 200; i++)
        text = arena_printf(arena, STR_FMT "%s '" STR_FMT "' " STR_FMT, STR_ARG(text),
                            i == 0 ? "" : ",", STR_ARG(str_slice(inputs[i].name, 0, 60)),
                            STR_ARG(tensor_shape_text(arena, inputs[i].dims, inputs[i].rank)));
    return text;
}

static enum status place_features(struct arena *arena, const struct tensor_spec *inputs,
                                  size_t input_count, const struct str *names,
                                  size_t name_count, struct signature *out, struct error *err)
{
    struct widths widths = widths_of(inputs, input_count);
    int64_t open_width = (int64_t)name_count - widths.known;

    if (!widths.fillable || widths.open > 1 || open_width < (int64_t)widths.open ||
        (widths.open == 0 && open_width != 0))
        return error_set(
            err, STATUS_INVALID,
            "%zu features are named, but the inputs do not take so many a row:" STR_FMT
            "; wanted are [N,columns], or [1,columns] for one row at a time",
            name_count, STR_ARG(shapes_text(arena, inputs, input_count)));
    out->feature_count = name_count;
    out->features = ARENA_ARRAY(arena, struct model_feature, name_count);
    out->places = ARENA_ARRAY(arena, struct feature_place, name_count);
    for (size_t i = 0; i < name_count; i++)
        out->features[i].name = arena_str(arena, names[i]);
    if (is_by_name(inputs, input_count, names, name_count))
        place_by_name(out, inputs, input_count, names);
    else
        place_in_order(out, inputs, input_count, open_width);
    out->row = row_specs(arena, out, inputs, input_count);
    out->is_matrix = input_count == 1 && inputs[0].type == TENSOR_FLOAT32;
    for (size_t i = 0; i < input_count; i++)
        out->is_one_row |= inputs[i].dims[0] != TENSOR_ANY;
    return STATUS_OK;
}

/* --- the score ------------------------------------------------------------ */

static bool is_float(const struct tensor_spec *spec)
{
    return spec->type == TENSOR_FLOAT32 || spec->type == TENSOR_FLOAT64;
}

/* How probable it is that a person means this output when they say score; 0: not at all. */
static int score_rank(const struct tensor_spec *spec)
{
    bool is_named = memmem(spec->name.data, spec->name.len, "prob", 4) != NULL;

    if (spec->type == TENSOR_STRING || spec->rank > 2)
        return 0;
    if (!is_float(spec))
        return 1;
    return is_named ? 3 : 2;
}

static int find_score(const struct tensor_spec *outputs, size_t count)
{
    int best = 0, found = -1;

    for (size_t i = 0; i < count; i++) {
        int rank = score_rank(&outputs[i]);

        if (rank > best) {
            best = rank;
            found = (int)i;
        } else if (rank == best) {
            found = -1; /* two are as good as none */
        }
    }
    return found;
}

enum status signature_make(struct arena *arena, const struct tensor_spec *inputs,
                           size_t input_count, const struct tensor_spec *outputs,
                           size_t output_count, const struct str *names, size_t name_count,
                           struct signature *out, struct error *err)
{
    struct signature signature = { .score = find_score(outputs, output_count) };
    bool is_named = name_count > 0;

    signature.widths = ARENA_ARRAY(arena, size_t, input_count);
    if (!is_named)
        own_names(arena, inputs, input_count, &names, &name_count);
    if (name_count > 0 &&
        place_features(arena, inputs, input_count, names, name_count, &signature, err) !=
            STATUS_OK &&
        is_named)
        return err->status;
    /* An output of a fixed length, or of none, is about all rows together. */
    for (size_t i = 0; i < output_count; i++)
        signature.is_one_row |= outputs[i].rank == 0 || outputs[i].dims[0] != TENSOR_ANY;
    *out = signature;
    return STATUS_OK;
}

enum status signature_fill(const struct signature *signature, const struct value *features,
                           size_t row, struct tensor *inputs, struct error *err)
{
    for (size_t i = 0; i < signature->feature_count; i++) {
        struct feature_place to = signature->places[i];
        size_t index = row * signature->widths[to.input] + to.column;

        if (tensor_put(&inputs[to.input], index, &features[i], err) != STATUS_OK)
            return error_wrap(err, "feature '" STR_FMT "'",
                              STR_ARG(signature->features[i].name));
    }
    return STATUS_OK;
}
