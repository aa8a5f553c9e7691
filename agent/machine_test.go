package agent_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
)

// A folder has one id from its first use on, and another folder another.
func TestMachine(t *testing.T) {
	t.Parallel()
	w := newWorkstation(t)
	if id, err := w.agent(t, asAlice).Machine(); err != nil || id != uuid.Nil {
		t.Errorf("before anything was done: %v, %v", id, err)
	}
	if _, err := w.enrol(t, agent.EnrolOptions{}); err != nil {
		t.Fatal(err)
	}
	id, err := w.agent(t, asAlice).Machine()
	if err != nil || id == uuid.Nil {
		t.Fatalf("%v, %v", id, err)
	}
	if _, err := w.enrol(t, agent.EnrolOptions{Again: true}); err != nil {
		t.Fatal(err)
	}
	if again, err := w.agent(t, asAlice).Machine(); err != nil || again != id {
		t.Errorf("%v became %v, %v", id, again, err)
	}
	path := filepath.Join(w.dir, "machine.json")
	good := readFile(t, path)
	for what, text := range map[string]string{"torn": good[:len(good)-4], "newer": strings.Replace(good, "1", "2", 1),
		"nobody": strings.Replace(good, id.String(), uuid.Nil.String(), 1)} {
		write(t, path, []byte(text))
		if _, err := w.enrol(t, agent.EnrolOptions{Again: true}); !errors.Is(err, agent.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestDefaultDir(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ system, home, name, value, want string }{
		{"linux", "/alice", "", "", "/alice/.local/share/sealpost"},
		{"linux", "/alice", "XDG_DATA_HOME", "/data", "/data/sealpost"},
		{"linux", "/alice", "XDG_DATA_HOME", "data", "/alice/.local/share/sealpost"},
		{"darwin", "/alice", "XDG_DATA_HOME", "/data", "/alice/Library/Application Support/Sealpost"},
		{"windows", "/alice", "LOCALAPPDATA", "/Local", "/Local/Sealpost"},
		{"windows", "/alice", "", "", "/alice/AppData/Local/Sealpost"},
	} {
		got := agent.DefaultDir(c.system, c.home, func(name string) string {
			if name == c.name {
				return c.value
			}
			return ""
		})
		if got != c.want {
			t.Errorf("%s, %s=%s: %s, want %s", c.system, c.name, c.value, got, c.want)
		}
	}
}
