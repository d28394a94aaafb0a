/* SPDX-License-Identifier: Apache-2.0 */
#include "features/job_follow.h"

void job_follow_progress(void *context, struct str phase, uint64_t done, uint64_t total)
{
    struct job_following *following = context;
    struct buffer data = { 0 };
    struct error ignored;

    if (following->is_gone || !request_wants_events(following->req))
        return;
    buffer_append(&data, STR("{\"phase\":"));
    json_write_str(&data, phase);
    buffer_printf(&data, ",\"done\":%llu,\"total\":%llu,\"unit\":\"rows\"}",
                  (unsigned long long)done, (unsigned long long)total);
    following->is_gone = response_event(following->res, "progress", buffer_str(&data),
                                        &ignored) != STATUS_OK;
    buffer_free(&data);
}

bool job_follow_is_cancelled(void *context)
{
    struct job_following *following = context;

    return following->is_gone || request_is_abandoned(following->req);
}
