/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Pipelines as `validate` and `apply` see them: workflow/ reads them, features/ records them. */
#include "features/definition_load.h"

/* pipelines/NAME/pipeline.yaml and pipelines/NAME/pipeline.asl.json. */
extern const struct definition_kind pipeline_definition_kind;
