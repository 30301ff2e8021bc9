// Jobs run by priority and then in order, each is finished once, and whoever sleeps is roused when there is a reason.
#include "core/job_queue.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/test.h"
#include "unit/random.h"

using iocp::Bell;
using iocp::JobFigures;
using iocp::JobId;
using iocp::JobOutcome;
using iocp::JobPayload;
using iocp::JobQueue;
using iocp::JobResult;
using iocp::TakenJob;
using unit::Random;
using Cancelled = iocp::JobQueue::Cancelled;
using Take = iocp::JobQueue::Take;

namespace {

class CountingBell : public Bell {
 public:
  void ring() noexcept override { ++rings; }
  int rings = 0;
};

JobPayload payload(const std::string& text) {
  JobPayload made;
  made.form = 7;
  made.length = static_cast<std::uint32_t>(text.size());
  made.bytes = std::make_unique<std::uint8_t[]>(text.size());
  std::memcpy(made.bytes.get(), text.data(), text.size());
  return made;
}

std::string text_of(const JobPayload& given) {
  return std::string(reinterpret_cast<const char*>(given.bytes.get()), given.length);
}

// A queue with its owner and any number of workers, all on one thread.
struct World {
  explicit World(std::size_t capacity = 1000) : queue(capacity) { queue.set_owner_bell(owner); }

  JobId add(const std::string& text, std::int32_t priority = 0) { return queue.add(payload(text), priority, now_us); }

  std::shared_ptr<CountingBell> attach(std::uint32_t worker) {
    auto bell = std::make_shared<CountingBell>();
    queue.attach(worker, bell);
    return bell;
  }

  // The text of the job taken, "none" or "retire".
  std::string take(std::uint32_t worker, JobId* id = nullptr) {
    TakenJob job;
    switch (queue.take(worker, now_us, &job)) {
      case Take::none:
        return "none";
      case Take::retire:
        return "retire";
      case Take::job:
        break;
    }
    if (id != nullptr) *id = job.id;
    return text_of(job.payload);
  }

  bool finish(std::uint32_t worker, JobId id, const std::string& text = "") {
    return queue.finish(worker, id, JobOutcome::done, payload(text), now_us);
  }

  std::vector<JobResult> results() {
    std::vector<JobResult> taken;
    queue.take_results(&taken);
    return taken;
  }

  std::uint64_t now_us = 1000;
  std::shared_ptr<CountingBell> owner = std::make_shared<CountingBell>();
  JobQueue queue;
};

}  // namespace

TEST("job queue: a job goes to a worker and its result comes back, bytes and all") {
  World world;
  world.attach(1);
  const JobId id = world.add("question");
  CHECK(id != 0);
  JobId taken = 0;
  CHECK_EQ(world.take(1, &taken), "question");
  CHECK_EQ(taken, id);
  CHECK(world.finish(1, id, "answer"));
  const std::vector<JobResult> results = world.results();
  REQUIRE(results.size() == 1);
  CHECK_EQ(results[0].id, id);
  CHECK_EQ(results[0].outcome, JobOutcome::done);
  CHECK_EQ(results[0].payload.form, 7U);
  CHECK_EQ(text_of(results[0].payload), "answer");
  CHECK(world.results().empty());
}

TEST("job queue: whoever takes a job is told what it is about") {
  World world;
  world.attach(1);
  constexpr std::uint64_t kLargest = (std::uint64_t{1} << 53) - 1;
  for (const std::uint64_t about : {kLargest, std::uint64_t{0}, std::uint64_t{7}}) {
    CHECK(world.queue.add(payload("x"), 0, world.now_us, about) != 0);
  }
  world.add("about nothing");
  for (const std::uint64_t about : {kLargest, std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{0}}) {
    TakenJob job;
    REQUIRE(world.queue.take(1, world.now_us, &job) == Take::job);
    CHECK_EQ(job.about, about);
  }
}

TEST("job queue: higher priorities come first, and within one the order they were added in") {
  World world;
  world.attach(1);
  world.add("b1", 0);
  world.add("c1", -5);
  world.add("a1", 9);
  world.add("b2", 0);
  world.add("a2", 9);
  world.add("c2", -5);
  std::string order;
  for (int i = 0; i < 6; ++i) order += world.take(1) + " ";
  CHECK_EQ(order, "a1 a2 b1 b2 c1 c2 ");
  CHECK_EQ(world.take(1), "none");
}

TEST("job queue: what does not fit is refused, and room is told of once") {
  World world(2);
  world.attach(1);
  world.add("1");
  world.add("2");
  CHECK_EQ(world.add("3"), 0U);
  CHECK_EQ(world.add("4"), 0U);
  CHECK_EQ(world.owner->rings, 0);
  JobId id = 0;
  world.take(1, &id);
  CHECK_EQ(world.owner->rings, 1);
  CHECK(world.results().empty());
  CHECK(world.add("3") != 0);
  CHECK(world.finish(1, id));
  CHECK_EQ(world.owner->rings, 2);
}

TEST("job queue: a running job does not count against the room") {
  World world(1);
  world.attach(1);
  world.add("1");
  CHECK_EQ(world.take(1), "1");
  CHECK(world.add("2") != 0);
  CHECK_EQ(world.add("3"), 0U);
}

TEST("job queue: only a worker that found nothing is roused, the one that fell idle last") {
  World world;
  const auto first = world.attach(1);
  const auto second = world.attach(2);
  world.add("early");
  CHECK_EQ(first->rings + second->rings, 0);
  CHECK_EQ(world.take(1), "early");
  CHECK_EQ(world.take(1), "none");
  CHECK_EQ(world.take(2), "none");
  world.add("x");
  CHECK_EQ(second->rings, 1);
  CHECK_EQ(first->rings, 0);
  world.add("y");
  CHECK_EQ(first->rings, 1);
  world.add("z");
  CHECK_EQ(first->rings + second->rings, 2);
}

TEST("job queue: the owner is rung once for many results") {
  World world;
  world.attach(1);
  for (int i = 0; i < 10; ++i) {
    const JobId id = world.add("j");
    world.take(1);
    CHECK(world.finish(1, id));
  }
  CHECK_EQ(world.owner->rings, 1);
  CHECK_EQ(world.results().size(), 10U);
  const JobId id = world.add("j");
  world.take(1);
  CHECK(world.finish(1, id));
  CHECK_EQ(world.owner->rings, 2);
}

TEST("job queue: a waiting job that is cancelled never runs, and leaves the others in order") {
  World world;
  world.attach(1);
  const JobId first = world.add("1");
  const JobId second = world.add("2");
  const JobId third = world.add("3");
  CHECK_EQ(world.queue.cancel(second), Cancelled::removed);
  CHECK_EQ(world.queue.cancel(second), Cancelled::gone);
  CHECK_EQ(world.take(1), "1");
  CHECK_EQ(world.take(1), "3");
  CHECK_EQ(world.take(1), "none");
  CHECK(!world.finish(1, second));
  CHECK(world.finish(1, third));
  CHECK(world.finish(1, first));
  CHECK_EQ(world.queue.figures().cancelled, 1U);
}

TEST("job queue: a running job that is cancelled is told to its worker, and still has a result") {
  World world;
  const auto bell = world.attach(1);
  const JobId id = world.add("1");
  world.take(1);
  CHECK_EQ(world.queue.cancel(id), Cancelled::running);
  CHECK_EQ(bell->rings, 1);
  std::vector<JobId> cancelled;
  world.queue.take_cancelled(1, &cancelled);
  REQUIRE(cancelled.size() == 1);
  CHECK_EQ(cancelled[0], id);
  CHECK(world.finish(1, id));
  CHECK_EQ(world.results().size(), 1U);
  CHECK_EQ(world.queue.cancel(id), Cancelled::gone);
}

TEST("job queue: a job is finished once, and by the worker that runs it") {
  World world;
  world.attach(1);
  world.attach(2);
  const JobId id = world.add("1");
  CHECK(!world.finish(1, id));
  world.take(1);
  CHECK(!world.finish(2, id));
  CHECK(world.finish(1, id));
  CHECK(!world.finish(1, id));
  CHECK_EQ(world.results().size(), 1U);
}

TEST("job queue: the jobs of a worker that dies have a result, and the wake that it had goes to another") {
  World world;
  const auto first = world.attach(1);
  world.attach(2);
  const JobId id = world.add("1");
  world.take(2);
  CHECK_EQ(world.take(1), "none");
  CHECK_EQ(world.take(2), "none");
  world.add("2");
  world.queue.detach(2);  // roused for it, and gone
  CHECK_EQ(first->rings, 1);
  const std::vector<JobResult> results = world.results();
  REQUIRE(results.size() == 1);
  CHECK_EQ(results[0].id, id);
  CHECK_EQ(results[0].outcome, JobOutcome::worker_died);
  CHECK_EQ(results[0].worker, 2U);
  CHECK_EQ(world.take(1), "2");
  world.queue.detach(2);
  world.queue.retire(2);
  CHECK(world.results().empty());
}

TEST("job queue: a worker that retires takes nothing more, and passes a wake on") {
  World world;
  const auto first = world.attach(1);
  const auto second = world.attach(2);
  world.add("0");
  CHECK_EQ(world.take(2), "0");
  CHECK_EQ(world.take(1), "none");
  CHECK_EQ(world.take(2), "none");
  world.add("1");
  CHECK_EQ(second->rings, 1);
  world.queue.retire(2);
  CHECK_EQ(second->rings, 2);
  CHECK_EQ(world.take(2), "retire");
  CHECK_EQ(first->rings, 1);
  CHECK_EQ(world.take(1), "1");
}

TEST("job queue: a queue that is cleared names what will not run, in the order it would have") {
  World world;
  world.attach(1);
  const JobId running = world.add("r");
  world.take(1);
  const JobId low = world.add("low", -1);
  const JobId high = world.add("high", 1);
  const std::vector<JobId> removed = world.queue.clear();
  REQUIRE(removed.size() == 2);
  CHECK_EQ(removed[0], high);
  CHECK_EQ(removed[1], low);
  CHECK_EQ(world.take(1), "none");
  CHECK(world.finish(1, running));
}

TEST("job queue: an id is not used again for another job") {
  World world;
  world.attach(1);
  std::map<JobId, int> seen;
  for (int i = 0; i < 1000; ++i) {
    const JobId id = world.add("j");
    CHECK(id <= (JobId{1} << 53));
    CHECK_EQ(seen[id]++, 0);
    world.take(1);
    CHECK(world.finish(1, id));
  }
}

TEST("job queue: the figures say what happened") {
  World world;
  world.attach(1);
  const JobId first = world.add("1");
  world.add("2");
  world.now_us += 500;
  world.take(1);
  world.now_us += 2000;
  JobFigures figures = world.queue.figures();
  CHECK_EQ(figures.waiting, 1U);
  CHECK_EQ(figures.running, 1U);
  CHECK(world.queue.finish(1, first, JobOutcome::failed, payload(""), world.now_us));
  figures = world.queue.figures();
  CHECK_EQ(figures.running, 0U);
  CHECK_EQ(figures.failed, 1U);
  CHECK_EQ(figures.done, 0U);
  CHECK(figures.wait_us_p50 > 480 && figures.wait_us_p50 <= 500);
  CHECK(figures.run_us_p99 > 1930 && figures.run_us_p99 <= 2000);
}

TEST("job queue: whatever happens in whatever order, each job ends once") {
  Random random;
  for (int round = 0; round < 50; ++round) {
    World world(1 + random.below(40));
    std::map<JobId, int> ended;
    std::map<JobId, std::uint32_t> running;
    std::vector<std::uint32_t> workers;
    std::uint32_t next_worker = 1;
    std::size_t added = 0;
    for (int step = 0; step < 400; ++step) {
      world.now_us += random.below(100);
      const auto any_worker = [&] { return workers[random.below(workers.size())]; };
      switch (random.below(8)) {
        case 0:
          workers.push_back(next_worker);
          world.attach(next_worker++);
          break;
        case 1: {
          if (workers.empty()) break;
          const std::uint32_t worker = any_worker();
          std::erase(workers, worker);
          world.queue.detach(worker);
          std::erase_if(running, [&](const auto& one) { return one.second == worker; });
          break;
        }
        case 2: {
          if (running.empty()) break;
          const JobId id = running.begin()->first;
          CHECK_EQ(world.queue.cancel(id), Cancelled::running);
          break;
        }
        case 3: {
          if (running.empty()) break;
          const auto [id, worker] = *std::next(running.begin(), static_cast<long>(random.below(running.size())));
          CHECK(world.finish(worker, id));
          running.erase(id);
          break;
        }
        case 4:
        case 5: {
          if (workers.empty()) break;
          JobId id = 0;
          const std::uint32_t worker = any_worker();
          const std::string got = world.take(worker, &id);
          if (got != "none") running[id] = worker;
          break;
        }
        default: {
          const JobId id = world.add("j", static_cast<std::int32_t>(random.below(3)));
          if (id == 0) break;
          ++added;
          if (random.below(6) == 0 && world.queue.cancel(id) == Cancelled::removed) ++ended[id];
          break;
        }
      }
      for (const JobResult& result : world.results()) ++ended[result.id];
    }
    for (const std::uint32_t worker : workers) world.queue.detach(worker);
    for (const JobResult& result : world.results()) ++ended[result.id];
    for (const JobId id : world.queue.clear()) ++ended[id];
    CHECK_EQ(ended.size(), added);
    for (const auto& [id, times] : ended) CHECK_EQ(times, 1);
    CHECK_EQ(world.queue.figures().waiting + world.queue.figures().running, 0U);
  }
}
