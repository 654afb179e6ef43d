#include "gateway_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <vector>

extern char** environ;

namespace sessiongateway {

namespace {

constexpr int kStartMilliseconds = 40'000;
constexpr std::string_view kListening = "listening on ";

std::string command() {
  const char* given = std::getenv("SGW_COMMAND");
  return given == nullptr ? SOURCE_ROOT "/.venv/bin/sgw" : given;
}

/// This process's environment without what would be taken for settings of the gateway.
std::vector<char*> environment() {
  std::vector<char*> kept;
  for (char** each = environ; *each != nullptr; ++each) {
    if (!std::string_view(*each).starts_with("SGW_")) kept.push_back(*each);
  }
  kept.push_back(nullptr);
  return kept;
}

/// The first line that comes, within the time that a gateway may take.
std::string read_line(int descriptor) {
  std::string line;
  std::array<char, 1> character{};
  pollfd waiting{.fd = descriptor, .events = POLLIN, .revents = 0};
  while (poll(&waiting, 1, kStartMilliseconds) == 1 && read(descriptor, character.data(), 1) == 1) {
    if (character[0] == '\n') return line;
    line.push_back(character[0]);
  }
  throw std::runtime_error("the gateway did not start: " + line);
}

}  // namespace

GatewayProcess::GatewayProcess() {
  std::string pattern = (std::filesystem::temp_directory_path() / "sgw-cpp-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
  directory_ = pattern;
  try {
    start("127.0.0.1:0");
  } catch (...) {
    end();
    throw;
  }
}

GatewayProcess::~GatewayProcess() {
  end();
}

void GatewayProcess::restart() {
  die();
  come_back();
}

void GatewayProcess::die() {
  stop(SIGKILL);
}

void GatewayProcess::come_back() {
  start(address_);
}

void GatewayProcess::start(const std::string& listen) {
  const std::string examples = SOURCE_ROOT "/examples/";
  // However this process ends, the gateway goes with it.
  std::vector<std::string> words = {"setpriv",  "--pdeathsig",   "TERM",       command(),           "serve",
                                    "--listen", listen,          "--data-dir", directory_ / "data", "--drain",
                                    "end",      "--drain-grace", "0",          "--log-level",       "error"};
  for (const char* app : {"kv", "sql", "interpreter"}) {
    words.insert(words.end(), {"--app", std::string(app) + "=" + examples + app});
  }
  std::vector<char*> arguments;
  for (std::string& each : words) arguments.push_back(each.data());
  arguments.push_back(nullptr);

  std::array<int, 2> output{};
  if (pipe2(output.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
  const int failed = posix_spawnp(&process_, arguments[0], &actions, nullptr, arguments.data(), environment().data());
  posix_spawn_file_actions_destroy(&actions);
  close(output[1]);
  if (failed != 0) throw std::runtime_error("cannot run " + words[3] + ": name the gateway's command in SGW_COMMAND");
  const std::string line = read_line(output[0]);
  close(output[0]);
  if (!line.starts_with(kListening)) throw std::runtime_error("the gateway says: " + line);
  address_ = line.substr(kListening.size());
}

void GatewayProcess::end() {
  stop(SIGTERM);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void GatewayProcess::stop(int signal) {
  if (process_ <= 0) return;
  kill(process_, signal);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

}  // namespace sessiongateway
