package portal_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/e2etest"
	"github.com/sealpost/sealpost/internal/rostertest"
	"github.com/sealpost/sealpost/pkcs12"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/web"
)

// An officer sees what waits, reads the case with the least time left, and looks who else can open the archive.
func TestOfficerInTheBrowser(t *testing.T) {
	s := setup(t, withBoard)
	alice, certificate, keys := s.enrolled(t, "alice")
	rita, hers, ritas := s.enrolled(t, "rita")
	s.enrolled(t, "carol")
	own := s.opened(t, alice, certificate, keys.Signing, newDevice(t), recovery.Query{Kind: record.CaseRestore}, "My laptop was left in a train, and with it the key to my older mail.", 70*time.Hour)
	business := s.opened(t, rita, hers, ritas.Signing, s.Recipient.Certificate, recovery.Query{Kind: record.CaseBusiness, Mailboxes: []string{"carol@example.test", "alice@example.test"}},
		"Carol has left the company at the end of March.\n\nHer customers still write to her, encrypted, and their orders have to be answered.", 22*time.Hour)
	s.answered(t, "oscar", 2, own, record.Approve)
	_, err := archive.NewBoard(archive.BoardConfig{DB: s.DB, Now: s.Clock.Now}).OpenCeremony(t.Context(), s.Actor(t, "olivia"), reshare(t, s).Bytes(), nil)
	must(t, err)
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "olivia", "/officer")
	visible(t, ctx, ".waiting")
	must(t, chromedp.Run(ctx, pictures(t, "officer-cases"), chromedp.Click(".waiting h3 a")))
	visible(t, ctx, ".letter blockquote")
	if got := text(t, ctx, ".letter h1"); got != "Rita Registrar asks for other people’s keys, for the business" {
		t.Errorf("the letter begins %q", got)
	}
	must(t, chromedp.Run(ctx, pictures(t, "officer-case"), chromedp.Navigate(s.server.URL+"/officer/cases/"+own.ID.String()), chromedp.WaitVisible("#decide"), pictures(t, "officer-restore"),
		chromedp.Click(`nav.tabs a[href="/officer/roster"]`), chromedp.WaitVisible(".facts"), pictures(t, "officer-roster"),
		chromedp.Navigate(s.server.URL+"/officer/cases/"+business.ID.String()), chromedp.Click(`button[value="de"]`), chromedp.WaitVisible(`html[lang="de"]`), pictures(t, "officer-german")))
}

// fileFor writes somebody's keys into a PKCS#12 as their program would.
func fileFor(t *testing.T, passphrase string, entries ...pkcs12.Entry) string {
	t.Helper()
	b, err := pkcs12.Encode(entries, nil, passphrase, pkcs12.Modern)
	must(t, err)
	path := filepath.Join(t.TempDir(), "keys.p12")
	must(t, os.WriteFile(path, b, 0o600))
	return path
}

// sent records what browsers send with their requests, and lets all pass.
func (s *site) sent() func() string {
	var mu sync.Mutex
	var all strings.Builder
	s.gate.set(func(_ http.ResponseWriter, r *http.Request) bool {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&all, "%s %s\n%s\n", r.Method, r.URL, b)
		return false
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// Somebody asks for a former colleague's keys in the page, with their own signature; what goes out is the signed case alone.
func TestAskForKeysInTheBrowser(t *testing.T) {
	s := setup(t)
	s.enrolled(t, "alice")
	_, certificate, keys := s.enrolled(t, "rita")
	file := fileFor(t, passphrase, pkcs12.Entry{Key: keys.Signing, Certificate: certificate, Name: "Rita"})
	sent := s.sent()
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "rita", "/officer")
	visible(t, ctx, ".empty")
	must(t, chromedp.Run(ctx, pictures(t, "officer-empty"), chromedp.Click(`nav.tabs a[href="/officer/cases/new"]`), chromedp.WaitVisible("#people"),
		chromedp.SendKeys("#people", "alice@example.test"), chromedp.SetValue("#recipient", record.Fingerprint(s.Recipient.Certificate).String()),
		chromedp.SendKeys("#reason", "Alice has left the company. Her customers' orders have to be answered."), chromedp.SendKeys("#reference", "HR-2026-118"), pictures(t, "officer-new"),
		chromedp.Click("form.panel button.main")))
	visible(t, ctx, "#sign #file")
	must(t, chromedp.Run(ctx, pictures(t, "officer-new-sign"), chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#passphrase", "something else\r")))
	waitText(t, ctx, "#happened-title", "The passphrase does not open this file")
	if n := s.Database.Count(t, `select count(*) from archive.recovery_case`); n != 0 {
		t.Fatalf("%d cases are opened", n)
	}
	must(t, chromedp.Run(ctx, chromedp.SendKeys("#passphrase", passphrase+"\r")))
	visible(t, ctx, ".letter blockquote")
	if got := text(t, ctx, ".letter h1"); got != "Rita Registrar asks for other people’s keys, for the business" {
		t.Errorf("the letter begins %q", got)
	}
	rita := s.Actor(t, "rita")
	found, err := s.Recovery.List(t.Context(), rita, "", uuid.Nil, 10)
	must(t, err)
	k, err := s.Recovery.Get(t.Context(), rita, found[0].ID)
	must(t, err)
	if len(found) != 1 || k.Kind != record.CaseBusiness || k.Reference != "HR-2026-118" || !k.Deliveries[0].Recipient.Equal(s.Recipient.Certificate) || k.Deadline.Sub(k.Opened) != 7*24*time.Hour ||
		!k.Requester.Certificate.Equal(certificate) || len(k.Deliveries[0].Subjects) != 1 || k.Deliveries[0].Subjects[0].Person != s.Actor(t, "alice").Person {
		t.Errorf("%d cases, the first is %+v", len(found), k.Case)
	}
	pkcs8 := pkcs8Of(t, keys.Signing)
	if all := sent(); strings.Contains(all, passphrase) || strings.Contains(all, base64.StdEncoding.EncodeToString(pkcs8[40:64])) || !strings.Contains(all, "POST /api/v1/cases\n") {
		t.Error("the key or its passphrase was sent, or no case")
	}

	// What the page showed is signed, and nothing else: a key that is archived meanwhile stops it.
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/officer/cases/new"), chromedp.WaitVisible("#people"), chromedp.SendKeys("#people", "alice@example.test"),
		chromedp.SetValue("#recipient", record.Fingerprint(s.Recipient.Certificate).String()), chromedp.SendKeys("#reason", "Once more."), chromedp.Click("form.panel button.main")))
	visible(t, ctx, "#sign #file")
	s.enrolled(t, "alice")
	must(t, chromedp.Run(ctx, chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#passphrase", passphrase+"\r")))
	waitText(t, ctx, "#happened-title", "It would be something else by now")
	if n := s.Database.Count(t, `select count(*) from archive.recovery_case`); n != 1 {
		t.Errorf("%d cases are opened", n)
	}
}

// waitText waits until an element says something.
func waitText(t *testing.T, ctx context.Context, selector, want string) {
	t.Helper()
	e2etest.Eventually(t, func() error {
		var got, more string
		if err := chromedp.Run(ctx, chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q)?.textContent ?? ""`, selector), &got),
			chromedp.Evaluate(`document.querySelector("#happened-text")?.textContent ?? ""`, &more)); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s says %q, %q", selector, got, more)
		}
		return nil
	})
}

// Where the installation allows it, two officers approve a restore in the page: with the words that they heard, and their own
// files. The recipient then opens the keys; neither an officer's key nor a share nor a passphrase was sent.
func TestApproveInTheBrowser(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.OfficersApprove = true })
	alice, certificate, keys := s.enrolled(t, "alice")
	deviceKey := generate(t, "P-256")
	device := cms.Recipient{Certificate: certify(t, deviceKey), Key: deviceKey}
	k := s.opened(t, alice, certificate, keys.Signing, device.Certificate, recovery.Query{Kind: record.CaseRestore}, "My laptop was left in a train.", 48*time.Hour)
	path := "/officer/cases/" + k.ID.String()
	heard := record.Fingerprint(device.Certificate).Words()
	files := func(i int) []string { // olivia has one, oscar two, as openssl makes them of what sealpost-kra keeps
		a := s.Roster.Agents[i]
		if i == 0 {
			return []string{fileFor(t, passphrase, pkcs12.Entry{Key: a.Signer, Certificate: a.Signing, Name: "sign"}, pkcs12.Entry{Key: a.Key.Key, Certificate: a.Decryption, Name: "open"})}
		}
		dir := t.TempDir()
		card := pem.EncodeToMemory(&pem.Block{Type: "SEALPOST AGENT CARD", Headers: map[string]string{"Version": "1"}, Bytes: []byte("checksum")})
		for _, c := range []*x509.Certificate{a.Signing, a.Decryption} {
			card = append(card, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		must(t, os.WriteFile(filepath.Join(dir, "agent.pem"), card, 0o600))
		var out []string
		for name, key := range map[string]crypto.Signer{"signing": a.Signer, "decryption": a.Key.Key.(crypto.Signer)} {
			must(t, os.WriteFile(filepath.Join(dir, name+".key"), pemKey(pkcs8Of(t, key)), 0o600))
			e2etest.Tool(t, dir, "openssl", "pkcs12", "-export", "-inkey", name+".key", "-in", "agent.pem", "-out", name+".p12", "-passout", "pass:"+passphrase)
			out = append(out, filepath.Join(dir, name+".p12"))
		}
		return out
	}
	sent := s.sent()
	ctx := s.chromium(t)
	fill := func(wrong bool) {
		t.Helper()
		visible(t, ctx, "#decide-here")
		var places []int
		must(t, chromedp.Run(ctx, chromedp.Evaluate(`[...document.querySelectorAll("[data-place]")].map(e => Number(e.textContent))`, &places)))
		var prefilled string
		must(t, chromedp.Run(ctx, chromedp.Evaluate(`[...document.querySelectorAll("[data-heard]")].map(e => e.value).join("")`, &prefilled)))
		if len(places) != 5 || prefilled != "" {
			t.Fatalf("%v are asked for, %q is there already", places, prefilled)
		}
		for i, p := range places {
			word := heard[p-1]
			if wrong && i == 4 {
				word = "babab"
			}
			must(t, chromedp.Run(ctx, chromedp.SetValue(fmt.Sprintf("#word-%d", i+1), word)))
		}
	}
	approve := chromedp.Tasks{chromedp.SendKeys("#passphrase", passphrase), chromedp.Click(`#decide-here button[value="approve"]`)}

	s.comeIn(t, ctx, "olivia", path)
	fill(true)
	must(t, chromedp.Run(ctx, chromedp.ScrollIntoView("#decide-here"), pictures(t, "officer-decide"), chromedp.SetUploadFiles("#file", files(0)), approve))
	waitText(t, ctx, "#happened-title", "These are not the words of the device in this case")
	must(t, chromedp.Run(ctx, chromedp.Reload()))
	fill(false)
	must(t, chromedp.Run(ctx, chromedp.SetUploadFiles("#file", []string{fileFor(t, passphrase, pkcs12.Entry{Key: keys.Signing, Certificate: certificate})}), approve))
	waitText(t, ctx, "#happened-title", "This file does not hold an officer’s keys")
	if n := s.Database.Count(t, `select count(*) from archive.case_answer`); n != 0 {
		t.Fatalf("%d answers are there", n)
	}
	for i, login := range []string{"olivia", "oscar"} {
		if i > 0 {
			must(t, chromedp.Run(ctx, chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button")))
			s.comeIn(t, ctx, login, path)
			fill(false)
		}
		must(t, chromedp.Run(ctx, chromedp.SetValue("#comment", "Spoke with her."), chromedp.SetUploadFiles("#file", files(i)), approve))
		waitText(t, ctx, "#decide + p", "You have approved. An answer is given once; it cannot be taken back.")
	}
	if got := text(t, ctx, ".letter .pill"); got != "Approved" {
		t.Errorf("the case is %q", got)
	}

	// The recipient opens what the two pages made.
	k, err := s.Recovery.Collect(t.Context(), alice, k.ID, 0)
	must(t, err)
	raw, err := s.Recovery.Capsules(t.Context(), alice, k.ID, 0, 10)
	must(t, err)
	capsule, err := record.ParseCapsule(raw[0])
	must(t, err)
	b, err := record.NewBundle(s.Roster.Roster, k.SignedCase, 0, []*record.Capsule{capsule}, nil)
	must(t, err)
	opener := record.NewOpener(b)
	answers, err := s.Recovery.Sealed(t.Context(), alice, k.ID, 0)
	must(t, err)
	for _, x := range answers {
		a, err := record.ParseApproval(x.Approval)
		must(t, err)
		must(t, opener.Add(a, x.Partials, device))
		if a.Comment != "Spoke with her." {
			t.Errorf("the officer says %q", a.Comment)
		}
	}
	records, err := s.Recovery.Records(t.Context(), alice, k.ID, 0, 0, 10)
	must(t, err)
	inner, err := record.ParseInnerRecord(records[0])
	must(t, err)
	pkcs8, err := opener.Open(inner)
	must(t, err)
	if !bytes.Equal(pkcs8, pkcs8Of(t, keys.Encryption)) {
		t.Error("another key was opened")
	}
	all := sent()
	for i := range 2 {
		for _, key := range []crypto.Signer{s.Roster.Agents[i].Signer, s.Roster.Agents[i].Key.Key.(crypto.Signer)} {
			if strings.Contains(all, base64.StdEncoding.EncodeToString(pkcs8Of(t, key)[36:66])) {
				t.Error("an officer's key was sent")
			}
		}
	}
	if strings.Contains(all, passphrase) || strings.Contains(all, strings.Join(heard[:2], "")) || strings.Count(all, "/answers\n") != 2 {
		t.Errorf("a passphrase was sent, or not two answers: %d", strings.Count(all, "/answers\n"))
	}
}

// An officer refuses in the page; without the word nobody approves by a click; where it is not allowed, the page offers nothing.
func TestRefuseInTheBrowser(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.OfficersApprove = true })
	s.enrolled(t, "alice")
	rita, hers, ritas := s.enrolled(t, "rita")
	k := s.opened(t, rita, hers, ritas.Signing, s.Recipient.Certificate, recovery.Query{Kind: record.CaseBusiness, Mailboxes: []string{"alice@example.test"}}, "She left.", 48*time.Hour)
	path := "/officer/cases/" + k.ID.String()
	a := s.Roster.Agents[2]
	file := fileFor(t, passphrase, pkcs12.Entry{Key: a.Signer, Certificate: a.Signing}, pkcs12.Entry{Key: a.Key.Key, Certificate: a.Decryption})
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "otto", path)
	visible(t, ctx, "#decide-here")
	must(t, chromedp.Run(ctx, chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#passphrase", passphrase), chromedp.Click(`#decide-here button[value="approve"]`)))
	waitText(t, ctx, "#happened-title", "You did not type the word")
	must(t, chromedp.Run(ctx, chromedp.SendKeys("#comment", "Nobody knows of it."), chromedp.Click(`#decide-here button[value="deny"]`)))
	waitText(t, ctx, "#decide + p", "You have refused. An answer is given once; it cannot be taken back.")
	k, err := s.Recovery.Get(t.Context(), rita, k.ID)
	must(t, err)
	if len(k.Answers) != 1 || k.Answers[0].Decision != record.Deny || k.Answers[0].Comment != "Nobody knows of it." {
		t.Errorf("the answers are %+v", k.Answers)
	}
	// An officer who typed the word approves a business case.
	a = s.Roster.Agents[0]
	file = fileFor(t, passphrase, pkcs12.Entry{Key: a.Signer, Certificate: a.Signing}, pkcs12.Entry{Key: a.Key.Key, Certificate: a.Decryption})
	must(t, chromedp.Run(ctx, chromedp.Click(".who button"), chromedp.WaitVisible("a[href='/signin'].button")))
	s.comeIn(t, ctx, "olivia", path)
	visible(t, ctx, "#decide-here")
	must(t, chromedp.Run(ctx, chromedp.SendKeys("#typed", "Approve"), chromedp.SetUploadFiles("#file", []string{file}), chromedp.SendKeys("#passphrase", passphrase), chromedp.Click(`#decide-here button[value="approve"]`)))
	waitText(t, ctx, "#decide + p", "You have approved. An answer is given once; it cannot be taken back.")
}

// The page believes no server that shows another case, other officers, or other records than the case names.
func TestApproveFromALyingServerInTheBrowser(t *testing.T) {
	s := setup(t, func(_ *site, c *web.Config) { c.OfficersApprove = true })
	alice, certificate, keys := s.enrolled(t, "alice")
	k := s.opened(t, alice, certificate, keys.Signing, newDevice(t), recovery.Query{Kind: record.CaseRestore}, "My laptop was left in a train.", 48*time.Hour)
	other := s.opened(t, alice, certificate, keys.Signing, newDevice(t), recovery.Query{Kind: record.CaseRestore}, "Once more.", 48*time.Hour)
	b := s.browser(t)
	b.signIn("olivia")
	type object = map[string]any
	var honest, another object
	must(t, json.Unmarshal([]byte(b.get("/api/v1/cases/"+k.ID.String()).body), &honest))
	must(t, json.Unmarshal([]byte(b.get("/api/v1/cases/"+other.ID.String()).body), &another))
	turned := func(name string, at int) object {
		out := maps.Clone(honest)
		raw, err := base64.StdEncoding.DecodeString(honest[name].(string))
		must(t, err)
		raw[(at+len(raw))%len(raw)] ^= 1
		out[name] = raw
		return out
	}
	ctx := s.chromium(t)
	s.comeIn(t, ctx, "olivia", "/officer/cases/"+k.ID.String())
	visible(t, ctx, "#decide-here")
	for name, c := range map[string]struct {
		answer object
		want   string
	}{
		"honest":               {honest, ""},
		"another case":         {another, "sent another case"},
		"an altered reason":    {turned("signed", 300), "Error: "},
		"an altered signature": {turned("signed", -1), "signature of who asks does not hold"},
		"an altered roster":    {turned("roster", -1), "signature of officer 3 does not hold"},
		"officers of nobody":   {withRoster(honest, rostertest.New(t, 2, 3).Bytes()), "Error: "},
		"no roster":            {withRoster(honest, nil), "officers have changed"},
	} {
		s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/v1/cases/"+k.ID.String() {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			must(t, json.NewEncoder(w).Encode(c.answer))
			return true
		})
		var got string
		inPage(t, ctx, `try { await S.approving.examine(A[0]); return ""; } catch (e) { return String(e); }`, &got, k.ID)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}

	// Records that are not the case's are not decrypted, and nothing is answered.
	a := s.Roster.Agents[0]
	file, err := pkcs12.Encode([]pkcs12.Entry{{Key: a.Signer, Certificate: a.Signing}, {Key: a.Key.Key, Certificate: a.Decryption}}, nil, passphrase, pkcs12.Modern)
	must(t, err)
	var page struct{ Items [][]byte }
	must(t, json.Unmarshal([]byte(b.getPast(s, "/api/v1/cases/"+k.ID.String()+"/capsules").body), &page))
	page.Items[0][len(page.Items[0])-1] ^= 1 // of the proof
	s.gate.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/capsules") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		must(t, json.NewEncoder(w).Encode(object{"items": page.Items}))
		return true
	})
	var got string
	inPage(t, ctx, `
		const x = await S.approving.examine(A[0]), officer = await S.approving.officer(x, [bytes(A[1])], A[2]);
		try { await S.approving.approve(x, officer, "", () => {}); return ""; } catch (e) { return String(e); }`, &got, k.ID, file, passphrase)
	if !strings.Contains(got, "Error: ") {
		t.Errorf("with an altered record: %q", got)
	}
	if n := s.Database.Count(t, `select count(*) from archive.case_answer`); n != 0 {
		t.Errorf("%d answers are there", n)
	}
}

func withRoster(c map[string]any, roster []byte) map[string]any {
	out := maps.Clone(c)
	out["roster"] = roster
	return out
}

// getPast is get without the gate's answer.
func (b *browser) getPast(s *site, path string) answer {
	s.gate.set(nil)
	return b.get(path)
}
