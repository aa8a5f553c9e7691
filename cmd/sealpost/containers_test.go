package main

import (
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/pgtest"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// composition is what this test looks at in docker-compose.yml.
type composition struct {
	Services map[string]struct {
		Build     struct{ Context, Target string }
		Image     string
		Command   []string
		DependsOn map[string]struct{ Condition string } `yaml:"depends_on"`
		Volumes   []string
		Health    struct {
			Test    []string
			Disable bool
		} `yaml:"healthcheck"`
	}
	Volumes map[string]any
}

var (
	stageLine = regexp.MustCompile(`(?m)^FROM \S+ AS (\w+)$`)
	copyLine  = regexp.MustCompile(`(?m)^COPY ((?:--from=\w+ )?)(\S+(?: \S+)*) \S+$`)
	jsonLine  = regexp.MustCompile(`(?m)^(?:ENTRYPOINT|CMD) (\[.*\])$`)
	wantLine  = regexp.MustCompile(`(?m)^\twant "([^"]+)"`)
)

// stages returns the stages of the Dockerfile with their lines; continued ones are joined.
func stages(t *testing.T) map[string]string {
	t.Helper()
	text := strings.ReplaceAll(read(t, filepath.FromSlash("../../Dockerfile")), "\\\n", " ")
	out := map[string]string{}
	at := stageLine.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		out[text[m[2]:m[3]]] = text[m[0]:end]
	}
	return out
}

// TestContainerFiles: what Dockerfile and docker-compose.yml name is there. No engine is needed.
func TestContainerFiles(t *testing.T) {
	t.Parallel()
	h := newHelps(t)
	all := stages(t)
	for stage, lines := range all {
		for _, m := range copyLine.FindAllStringSubmatch(lines, -1) {
			for _, file := range strings.Fields(m[2]) {
				if m[1] != "" {
					if built := path.Base(file); file != "/out/" && !slices.Contains([]string{"sealpost", "sealpost-agent", "sealpost-kra"}, built) {
						t.Errorf("stage %s copies %s, which is not built", stage, file)
					}
				} else if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(file))); err != nil {
					t.Errorf("stage %s: %v", stage, err)
				}
			}
		}
		var line []string
		for _, m := range jsonLine.FindAllStringSubmatch(lines, -1) {
			var part []string
			must(t, yaml.Unmarshal([]byte(m[1]), &part))
			line = append(line, part...)
		}
		if len(line) > 0 && line[0] == program {
			if fault := h.fault(t, line); fault != "" {
				t.Errorf("stage %s: %s", stage, fault)
			}
		}
	}
	install := read(t, filepath.FromSlash("../../scripts/install"))
	demo, _, _ := strings.Cut(install, `[ "$1" = demo ] && return`)
	for _, m := range wantLine.FindAllStringSubmatch(demo, -1) {
		for _, name := range strings.Fields(m[1]) {
			if !regexp.MustCompile(`[ \n]`+regexp.QuoteMeta(name)+`[ \n]`).MatchString(all["demo"]) && name != "gcc" && name != "libc6-dev" {
				t.Errorf("the demo's image lacks the package %s, which scripts/install demo asks for", name)
			}
		}
	}
	health := regexp.MustCompile(`SEALPOST_HEALTH=https://127\.0\.0\.1:8443(\S+)`).FindStringSubmatch(all["server"])
	if health == nil || !strings.Contains(read(t, filepath.FromSlash("../../api/openapi.json")), `"`+health[1]+`"`) {
		t.Errorf("the health check asks %q, which the API does not have", health)
	}
	checkComposition(t, h, all)
}

func checkComposition(t *testing.T, h *helps, all map[string]string) {
	t.Helper()
	var c composition
	must(t, yaml.Unmarshal([]byte(read(t, filepath.FromSlash("../../docker-compose.yml"))), &c))
	if len(c.Services) < 5 {
		t.Fatalf("%d services", len(c.Services))
	}
	for name, s := range c.Services {
		target, built := all[s.Build.Target]
		if s.Image == "" && !built {
			t.Errorf("%s: there is no stage %q", name, s.Build.Target)
		}
		if len(s.Command) > 0 && strings.Contains(target, `ENTRYPOINT ["sealpost"]`) {
			if fault := h.fault(t, append([]string{program}, s.Command...)); fault != "" {
				t.Errorf("%s: %s", name, fault)
			}
		}
		for other, d := range s.DependsOn {
			on, ok := c.Services[other]
			if !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
			if d.Condition == "service_healthy" && len(on.Health.Test) == 0 && !strings.Contains(all[on.Build.Target], "HEALTHCHECK") {
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			}
		}
		for _, v := range s.Volumes {
			if volume, _, _ := strings.Cut(v, ":"); !strings.HasPrefix(volume, "/") {
				if _, ok := c.Volumes[volume]; !ok {
					t.Errorf("%s: there is no volume %q", name, volume)
				}
			}
		}
	}
}

// playedDocker does what the commands of docs/docker.md would do inside a container, on this machine.
const playedDocker = `#!/bin/sh
run=sealpost
while [ $# -gt 0 ]; do
	case "$1" in
	--entrypoint) run=$2; shift ;;
	server) shift; [ "$was" = --profile ] || break; was=; continue ;;
	up) exit 0 ;;
	esac
	was=$1
	shift
done
if [ "$run" = sealpost ] && [ "$1" = init ]; then set -- "$@" --dir "$ETC"; fi
if [ "$run" = sealpost ] && [ "$1" = sealpost ]; then shift; fi
exec "$run" "$@"
`

// TestDirectoryContainer follows docs/docker.md with scripts/directory as it runs in its container, and a real server.
func TestDirectoryContainer(t *testing.T) {
	t.Parallel()
	shared.open(t)
	base := t.TempDir()
	i := &installation{dir: filepath.Join(base, "etc"), slapd: slapdtest.New(t), api: freeAddress(t), public: freeAddress(t), portal: freeAddress(t),
		db: pgtest.Database{Cluster: shared.cluster, Name: "containers"}}
	pgtest.Database{Cluster: shared.cluster, Name: "postgres"}.Exec(t, "create database "+i.db.Name)
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	data, access := filepath.Join(base, "data"), filepath.Join(base, "access")
	directory := e2etest.Start(t, e2etest.Command{Path: filepath.FromSlash("../../scripts/directory"), Args: []string{data, access, "directory"},
		Env: []string{"ADDRESS=127.0.0.1", "PORT=" + port, "COMPANY=" + filepath.FromSlash("../../internal/slapdtest/company.ldif")}})
	e2etest.Eventually(t, func() error { // the image's health check
		r := e2etest.Run(t, e2etest.Command{Path: "ldapwhoami", Args: []string{"-x", "-H", "ldaps://" + address}, Env: []string{"LDAPTLS_CACERT=" + access + "/ca.pem"}})
		if r.Code != 0 {
			return fmt.Errorf("%s %s", r.Stderr, directory.Stderr())
		}
		return nil
	})
	f := newFollower(t, i, base, "/etc/sealpost-directory", access, "ldaps://directory:1636", "ldaps://"+address,
		"http://127.0.0.1:8080", "http://"+i.public, "0.0.0.0:8080", i.public, "https://localhost:8443", i.url(), "sealpost-agent enroll", "SEALPOST_PASSWORD=alice-sample sealpost-agent enroll")
	write(t, f.at("bin/docker"), strings.Replace(playedDocker, "$ETC", i.dir, 1))
	must(t, os.Chmod(f.at("bin/docker"), 0o700))
	database := strings.NewReplacer("postgres:///sealpost?host=/run/postgresql&user=postgres", i.db.AdminURL(), "postgres:///sealpost?host=/run/postgresql&user=sealpost_server", i.db.URL())
	f.before["docker compose --profile server run --rm --no-deps -T --entrypoint tee"] = func() { // the edited copy
		write(t, f.at("you/server.yaml"), read(t, i.path("server.yaml")))
	}
	f.before["docker compose --profile server up"] = func() {
		write(t, i.path("server.yaml"), database.Replace(read(t, i.path("server.yaml"))))
		i.run(t, "migrate") // as the service migrate does
		f.server = f.serve(t)
	}
	f.says["docker compose --profile server exec server sealpost gal diff alice"] = "0 missing, 0 stale"
	f.document("docs/docker.md", "", "")
	f.done(7)
	if out := e2etest.Good(t, e2etest.Command{Path: "ldapsearch", Args: []string{"-x", "-LLL", "-H", "ldaps://" + address, "-b", "ou=people,dc=example,dc=test", "uid=alice", "mail"},
		Env: []string{"LDAPTLS_CACERT=" + access + "/ca.pem"}}); !strings.Contains(out, "alice@example.test") {
		t.Errorf("an outsider sees: %s", out)
	}
	directory.Signal(syscall.SIGTERM)
	directory.Wait(t)
}
