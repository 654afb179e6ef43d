package sessiongateway_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// exampleOutput is what `go run ./example` prints. The list shows its own session only: the key is its own.
var exampleOutput = regexp.MustCompile(`^(sess_\S+) remembers 9007199254740993
(\d+ rows, up to \d+
)+(sess_\S+) kv ended caller 2
APP_ERROR completed FileNotFoundError
$`)

func TestTheExampleRuns(t *testing.T) {
	connected(t)
	// The first build compiles gRPC.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	program := filepath.Join(t.TempDir(), "example")
	if said, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	ctx, cancel = context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	example := exec.CommandContext(ctx, program)
	example.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "SGW_") })
	example.Env = append(example.Env, "SGW_ADDRESS="+shared.gateway.address, "SGW_API_KEY=key-of-the-example")
	said, err := example.CombinedOutput()
	found := exampleOutput.FindSubmatch(said)
	if err != nil || found == nil || string(found[1]) != string(found[3]) || !strings.Contains(string(said), "rows, up to 62500\n") {
		t.Errorf("%v\n%s", err, said)
	}
}
