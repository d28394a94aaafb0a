/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pipelines as a kind of definition, so that validate and apply cover them. */
#include "features/definition_load.h"

/* pipelines/NAME/pipeline.yaml, the short form, and pipelines/NAME/pipeline.asl.json. */
extern const struct definition_kind pipeline_definition_kind;
