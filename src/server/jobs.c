/* SPDX-License-Identifier: Apache-2.0 */
#include "server/jobs.h"

#include "bridges/score.h"
#include "features/feature_store.h"
#include "features/job.h"
#include "features/offline/offline.h"
#include "features/training_set.h"
#include "server/library_check.h"
#include "serving/serving.h"

#include <string.h>

int jobs_main(int argc, char **argv)
{
    const struct job_kind kinds[] = {
        training_set_job, score_job, offline_describe_job, materialize_job, { 0 },
    };

    if (strcmp(argv[2], "probe-model") == 0)
        return serving_probe_main(argc, argv);
    if (argc == 4 && strcmp(argv[2], "library") == 0)
        return library_check_main(argv[3]);
    return job_main(argc - 2, argv + 2, kinds);
}
