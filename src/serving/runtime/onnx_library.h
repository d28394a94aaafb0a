/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ONNX Runtime, loaded when the first model is: a server without models needs
 * neither the library nor its memory.
 */
#include "base/status.h"

#include <onnxruntime_c_api.h>

/*
 * The library reports home over the network, and keeps a database in the home folder for it,
 * unless the environment forbids. To be called while the process has one thread.
 */
void onnx_library_forbid_telemetry(void);
/* The one environment of the process; both are good until it ends. UNAVAILABLE tells how to get the library. */
MUST_USE enum status onnx_library_get(const OrtApi **api, OrtEnv **env, struct error *err);
/* "1.30.0"; once onnx_library_get() has succeeded. */
const char *onnx_library_version(void);
/* OK for NULL; else releases the status and says what it said; LIMIT where there is no memory. */
MUST_USE enum status onnx_status(const OrtApi *api, OrtStatus *status, struct error *err);
