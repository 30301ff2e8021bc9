// The job of the comparison: nothing. One form for each pool.
export default function processJob(job) {
  return job?.data ?? job;
}
