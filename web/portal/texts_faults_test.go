package portal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/fleet"
)

// asksOf are the operations that the pages' scripts call, by what in app/*.ts calls them, and whether an agent that runs by itself does, too.
var asksOf = []struct {
	operation, script string
	agent             bool
}{
	{"getPolicy", `call<Policy>("/policy")`, true}, {"advertise", `"/advertisements"`, false}, {"getEnrolment", `call<Status>("/enrolments/"`, true}, {"enrol", `call<Status>("/enrolments", {`, true},
	{"draftCase", `"/cases/drafts"`, true}, {"openCase", `post<Standing>("/cases"`, true}, {"getCase", "call<Standing>(of(id))", true}, {"getCase", "call<Standing & {", true}, {"getCaseCapsules", `"/capsules"`, false},
	{"answerCase", `"/answers"`, false}, {"cancelCase", `"/cancel"`, false}, {"closeCase", `"/close"`, true}, {"collectCase", `"/deliveries/0/collect"`, true}, {"disputeCase", `"/disputes"`, true},
	{"getCaseRecords", `"/deliveries/0/records"`, true}, {"getCaseSealed", `"/deliveries/0/sealed"`, true}, {"getCaseCertificates", `of(id) + "/certificates"`, true},
}

// unmet are codes of ways to show who one is that no page uses: its session does.
var unmet = strings.Fields("enrolment-token enrolment-token-scope kerberos-machine kerberos-machine-owner kerberos-machine-scope machine-disabled openid-not-taken openid-token openid-token-ended")

// Whatever the server may answer to a page's script is said in words in each language, and whatever an agent may report, on the page of its
// computer. A code that comes to be is missing here until it has some.
func TestFaultsHaveWords(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Responses   map[string]struct {
				Description string `json:"description"`
			} `json:"responses"`
		} `json:"paths"`
	}
	content, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	codes, listed := map[string][]string{}, regexp.MustCompile("(?m)^\\* `([a-z0-9-]+)`:")
	for _, methods := range document.Paths {
		for _, o := range methods {
			for _, response := range o.Responses {
				for _, m := range listed.FindAllStringSubmatch(response.Description, -1) {
					codes[o.OperationID] = append(codes[o.OperationID], m[1])
				}
			}
		}
	}
	scripts := sources(t, "app/*.ts")
	said := func(prefix, code, who string) {
		if w := texts[prefix+code]; w.EN == "" || w.DE == "" {
			t.Errorf("%s%s has no words in each language: %s may meet it", prefix, code, who)
		}
		if !fleet.KnownCode(code) {
			t.Errorf("%s is no code of ours: go generate ./fleet", code)
		}
	}
	for _, a := range asksOf {
		if !strings.Contains(scripts, a.script) {
			t.Errorf("no script calls %s as %s any more", a.operation, a.script)
		}
		if len(codes[a.operation]) < 5 {
			t.Errorf("the document says of %s only %v", a.operation, codes[a.operation])
		}
		for _, code := range codes[a.operation] {
			if !slices.Contains(unmet, code) {
				said("fault.", code, "who uses a page that calls "+a.operation)
			}
			if a.agent {
				said("fleet.code.", code, "an agent that calls "+a.operation)
			}
		}
	}
	// Scripts call nothing else.
	helpers := strings.NewReplacer("function call<", "", "function post<", "", "function pages<", "", "call<T>(path, body", "", "await call<{ items: T[]", "")
	calls := helpers.Replace(scripts)
	if n := strings.Count(calls, "call<") + strings.Count(calls, "post<") + strings.Count(calls, "pages<"); n != len(asksOf) {
		t.Errorf("scripts have %d calls, and this test knows %d", n, len(asksOf))
	}
	// The agent's own.
	declared := regexp.MustCompile(`fault\.New\([\w."]+,\s*"([a-z0-9-]+)"`).FindAllStringSubmatch(sources(t, "../../agent/*.go", "../../agent/*/*.go", "../../client/*.go", "../../cmd/sealpost-agent/*.go", "../../internal/disk/*.go"), -1)
	if len(declared) < 100 {
		t.Errorf("the agent declares %d faults", len(declared))
	}
	for _, m := range declared {
		said("fleet.code.", m[1], "the agent")
	}
	// And nothing has words that nobody says any more.
	for key := range texts {
		for _, prefix := range []string{"fault.", "fleet.code."} {
			if code, ok := strings.CutPrefix(key, prefix); ok && code != "title" && !fleet.KnownCode(code) {
				t.Errorf("%s: nothing answers so", key)
			}
		}
	}
}

// sources is what stands in files that are no tests.
func sources(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			content, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(content)
		}
	}
	return all.String()
}
