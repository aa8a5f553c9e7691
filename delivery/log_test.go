package delivery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/delivery"
)

func TestLogInFolder(t *testing.T) {
	t.Parallel()
	f := delivery.Open(t.TempDir())
	if l, err := f.Log(); l != nil || err != nil {
		t.Errorf("none: %v, %v", l, err)
	}
	for _, event := range []string{`{"v":1,"kind":"ä"}`, `{"v":1,"kind":"<b>"}`} { // the second replaces the first, and bytes stay as they are
		want := &api.CaseLog{AuditLog: api.AuditLog{Key: "k", Checkpoint: "c\n\n— x y\n", Consistency: []string{"a"}, Witnessed: []api.Countersignature{{Size: 1}}}, Event: event, Inclusion: "i"}
		must(t, f.PutLog(want))
		got, err := f.Log()
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	for name, note := range map[string]string{"02-agent.checkpoint": "two", "01-agent.checkpoint": "one", ".hidden.checkpoint": "x", "evil\u202e.checkpoint": "x"} {
		must(t, os.WriteFile(f.Path(name), []byte(note), 0o600))
	}
	if path, err := f.PutCheckpoint(2, []byte("newer")); err != nil || filepath.Base(path) != "02-agent.checkpoint" {
		t.Errorf("%s, %v", path, err)
	}
	list, err := f.Checkpoints()
	if err != nil || len(list) != 2 || string(list[0].Note) != "one" || string(list[1].Note) != "newer" {
		t.Errorf("%+v, %v", list, err)
	}
	must(t, os.WriteFile(f.Path("03-agent.checkpoint"), []byte(strings.Repeat("x", 40<<10)), 0o600))
	if _, err := f.Checkpoints(); err == nil {
		t.Error("a checkpoint of 40 KiB is read")
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte(`{"key":"k","checkpoint":"c","consistency":[],"witnessed":[{"size":1}],"event":"e"}`))
	f.Add([]byte(`{} {}`))
	f.Add([]byte(`{"consistency":1}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		folder := delivery.Open(dir)
		must(t, os.WriteFile(folder.Path(delivery.LogFile), b, 0o600))
		if l, err := folder.Log(); err == nil {
			must(t, folder.PutLog(l))
		}
	})
}
