/* SPDX-License-Identifier: Apache-2.0 */
#include "server/jobs.h"

#include "features/job.h"
#include "features/training_set.h"
#include "server/library_check.h"

#include <string.h>

int jobs_main(int argc, char **argv)
{
    const struct job_kind kinds[] = {
        training_set_job,
        { 0 },
    };

    if (argc == 2 && strcmp(argv[0], "library") == 0)
        return library_check_main(argv[1]);
    return job_main(argc, argv, kinds);
}
