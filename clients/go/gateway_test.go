package sessiongateway_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

const (
	// testLimit is how long a test may take.
	testLimit = 60 * time.Second
	// startLimit is how long a gateway may take to listen or to stop, on a machine that is busy.
	startLimit = 30 * time.Second
)

var examples = []string{"kv", "interpreter", "sql"}

// gateway is a real gateway with the example apps.
type gateway struct {
	address string
	dataDir string
	drain   string // whether sessions are kept for the next gateway, or end with this one
	process *exec.Cmd
	log     strings.Builder
}

// shared is the gateway of all tests that do not stop it.
var shared struct {
	once    sync.Once
	gateway *gateway
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.gateway != nil {
		if err := shared.gateway.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.RemoveAll(shared.gateway.dataDir)
	}
	os.Exit(code)
}

// connected returns a client of the shared gateway with a key of its own, so that it sees its own sessions only, and
// the context of the test.
func connected(t *testing.T) (*sg.Client, context.Context) {
	t.Helper()
	shared.once.Do(func() {
		dataDir, err := os.MkdirTemp("", "sgw")
		if err != nil {
			shared.err = err
			return
		}
		g := &gateway{dataDir: dataDir, address: "127.0.0.1:0", drain: "end"}
		if shared.err = g.start(); shared.err != nil {
			os.RemoveAll(dataDir)
			return
		}
		shared.gateway = g
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return clientOf(t, shared.gateway)
}

func clientOf(t *testing.T, g *gateway) (*sg.Client, context.Context) {
	t.Helper()
	client, err := sg.NewClient(sg.WithAddress(g.address), sg.WithAPIKey("key-"+rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	return client, ctx
}

// start starts the gateway at its address, and waits until it listens.
func (g *gateway) start() error {
	command := os.Getenv("SGW_COMMAND")
	if command == "" {
		command = filepath.Join("..", "..", ".venv", "bin", "sgw")
	}
	arguments := []string{"serve", "--listen", g.address, "--data-dir", filepath.Join(g.dataDir, "data"), "--drain", g.drain}
	for _, app := range examples {
		arguments = append(arguments, "--app", app+"="+filepath.Join("..", "..", "examples", app))
	}
	g.process = exec.Command(command, arguments...)
	g.process.Stderr = &g.log
	// A gateway refuses variables that look like settings of its own and are not.
	g.process.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "SGW_") })
	output, err := g.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := g.process.Start(); err != nil {
		return fmt.Errorf("no gateway to test with; name its command in SGW_COMMAND: %w", err)
	}
	late := time.AfterFunc(startLimit, func() { _ = g.process.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if address, found := strings.CutPrefix(lines.Text(), "listening on "); found {
			g.address = address
			return nil
		}
	}
	_ = g.process.Wait()
	return fmt.Errorf("the gateway does not listen:\n%s", g.log.String())
}

// stop stops the gateway and waits for its end.
func (g *gateway) stop() error {
	if err := g.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(startLimit, func() { _ = g.process.Process.Kill() })
	defer late.Stop()
	if err := g.process.Wait(); err != nil {
		return fmt.Errorf("the gateway has not stopped well: %w\n%s", err, g.log.String())
	}
	return nil
}
