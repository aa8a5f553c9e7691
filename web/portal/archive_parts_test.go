package portal_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
)

// scripted is a browser on an empty page, with what a bundle of scripts offers.
func scripted(t *testing.T, bundle string) context.Context {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(`<!doctype html><html lang="en"><title>Empty</title><link rel="icon" href="data:,">`))
	}))
	t.Cleanup(server.Close)
	script, err := os.ReadFile("assets/app/" + bundle + ".js")
	must(t, err)
	ctx := (&site{}).chromium(t)
	must(t, chromedp.Run(ctx, chromedp.Navigate(server.URL), chromedp.Evaluate(string(script)+";null", nil)))
	return ctx
}

// vectorsOf are the shared test vectors of a room of the archive.
func vectorsOf(t *testing.T, room string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("../../archive/" + room + "/testdata/" + room + ".json")
	must(t, err)
	var out map[string]any
	must(t, json.Unmarshal(raw, &out))
	return out
}

// judge is what the archive's tests in the page have: hex in and out, and whether something is refused.
const judge = `
	const V = A[0], faults = [], un = S.wire.fromHex, hex = b => Array.from(b, x => x.toString(16).padStart(2, "0")).join("");
	const same = (what, got, want) => { if (String(got) !== String(want)) faults.push(what + ": " + got + ", not " + want); };
	const refused = async (what, work) => { let ok = true; try { await work(); ok = false; } catch (e) { if (e instanceof TypeError || e instanceof ReferenceError) throw e; } if (!ok) faults.push(what + " was accepted"); };
	// altered has every step-th byte changed, the object cut off, and something added to it.
	const altered = async (what, bytes, read, step = 1) => {
		try { await read(bytes); } catch (e) { faults.push(what + ": " + e); return; }
		for (let i = 0; i < bytes.length; i += step) { const b = bytes.slice(); b[i] ^= 1 << (i % 8); await refused(what + " altered at " + i, () => read(b)); }
		await refused(what + " cut off", () => read(bytes.slice(0, -1)));
		await refused(what + " with more", () => read(new Uint8Array([...bytes, 0])));
	};
`

// The page computes the archive's mathematics as the Go sources do, by the same vectors, and refuses what they refuse.
func TestThresholdInTheBrowser(t *testing.T) {
	t.Parallel()
	ctx := scripted(t, "restore")
	v := vectorsOf(t, "threshold")
	var faults []string
	inPage(t, ctx, judge+`
		const T = S.threshold, point = s => T.parsePoint(un(s)), scalar = s => T.parseScalar(un(s));
		same("G2", hex(T.secondGenerator().toBytes()), V.SecondGenerator);
		for (const b of V.BadPoints) await refused("point " + b, () => point(b));
		for (const b of V.BadScalars) await refused("scalar " + b, () => scalar(b));
		await refused("a short point", () => point("00"));
		const commitments = V.Sharing.Commitments.map(point), y = commitments[0];
		same("key id", hex(await T.keyID(y)), V.Sharing.KeyID);
		for (const s of V.Sharing.Shares) {
			same("public share", hex(T.publicOf(scalar(s.Share)).bytes), s.Public);
			same("public share by commitments", hex(T.publicShare(commitments, s.Agent).bytes), s.Public);
		}
		const e = V.Encapsulation, r = point(e.PointR), r2 = point(e.PointR2);
		await altered("proof", un(e.Proof), async b => T.verifyCiphertext(y, r, r2, un(e.Binding), b));
		await altered("binding", un(e.Binding), async b => T.verifyCiphertext(y, r, r2, b, un(e.Proof)), 4);
		await refused("R and R2 exchanged", async () => T.verifyCiphertext(y, r2, r, un(e.Binding), un(e.Proof)));
		same("key", hex(await T.deriveKey(point(e.Shared), r, y, un(e.Info))), e.Key);
		for (const p of V.Partials) {
			const share = scalar(V.Sharing.Shares[p.Agent - 1].Share), own = point(p.Public), rs = p.R.map(point), ds = p.D.map(point);
			const x = { case: un(p.Case), epoch: p.Epoch, agent: p.Agent, key: y };
			same("partials", T.decrypt(share, rs).map(d => hex(d.bytes)), p.D);
			same("transcript", hex(await T.transcript(own, x, rs, ds)), p.Transcript);
			same("proof of partials", hex(await T.provePartials(share, x, rs, ds, scalar(p.Nonce))), p.Proof);
			await altered("proof of partials", un(p.Proof), b => T.verifyPartials(own, x, rs, ds, b), 5);
			await T.verifyPartials(own, x, rs, ds, await T.provePartials(share, x, rs, ds));
			const again = await Promise.all([0, 1].map(() => T.provePartials(share, x, rs, ds)));
			if (hex(again[0]) === hex(again[1])) faults.push("a nonce repeats");
			await refused("another epoch", () => T.verifyPartials(own, { ...x, epoch: 2 }, rs, ds, un(p.Proof)));
			await refused("another agent", () => T.verifyPartials(own, { ...x, agent: 9 }, rs, ds, un(p.Proof)));
			await refused("another case", () => T.verifyPartials(own, { ...x, case: new Uint8Array(32) }, rs, ds, un(p.Proof)));
			await refused("partials exchanged", () => T.verifyPartials(own, x, rs, [ds[1], ds[0]], un(p.Proof)));
			await refused("a partial missing", () => T.verifyPartials(own, x, rs, [ds[0]], un(p.Proof)));
			await refused("no partials", () => T.verifyPartials(own, x, [], [], un(p.Proof)));
		}
		for (const c of V.Combine) {
			const lambdas = T.lagrange(c.Agents);
			same("lambdas", lambdas, c.Lambdas.map(scalar));
			c.Shared.forEach((z, j) => same("shared", hex(T.combine(lambdas, c.Agents.map(a => point(V.Partials[a - 1].D[j]))).bytes), z));
		}
		await refused("an agent twice", async () => T.lagrange([1, 1]));
		await refused("agent 0", async () => T.lagrange([0, 1]));
		return faults;`, &faults, v)
	for _, f := range faults {
		t.Error(f)
	}

	// What the page proves with a nonce of its own, Go believes.
	p := v["Partials"].([]any)[0].(map[string]any)
	share := v["Sharing"].(map[string]any)["Shares"].([]any)[0].(map[string]any)
	var proof string
	inPage(t, ctx, judge+`
		const T = S.threshold, point = s => T.parsePoint(un(s)), x = { case: un(A[1].Case), epoch: 1, agent: 1, key: point(V.Sharing.Commitments[0]) };
		return hex(await T.provePartials(T.parseScalar(un(A[2].Share)), x, A[1].R.map(point), A[1].D.map(point)))`, &proof, v, p, share)
	points := func(list any) (out []threshold.Point) {
		for _, s := range list.([]any) {
			x, err := threshold.ParsePoint(unhex(t, s))
			must(t, err)
			out = append(out, x)
		}
		return out
	}
	parsed, err := threshold.ParseProof(unhex(t, proof))
	must(t, err)
	x := threshold.Context{Case: [32]byte(unhex(t, p["Case"])), Epoch: 1, Agent: 1, Key: points(v["Sharing"].(map[string]any)["Commitments"])[0]}
	must(t, threshold.VerifyPartials(points([]any{p["Public"]})[0], x, points(p["R"]), points(p["D"]), parsed))
}

func unhex(t *testing.T, s any) []byte {
	t.Helper()
	b, err := hex.DecodeString(s.(string))
	must(t, err)
	return b
}

// The page reads, verifies and opens what the archive's vectors hold, writes the same bytes, and refuses every byte that was altered.
func TestRecordsInTheBrowser(t *testing.T) {
	t.Parallel()
	ctx := scripted(t, "restore")
	v := vectorsOf(t, "record")
	var out struct {
		Faults                       []string
		Case, Approval, Dispute, Raw string
	}
	inPage(t, ctx, judge+`
		const { roster: R, record: K, cases: C, opener: O, statement: G, threshold: T } = S;
		const roster = await R.parseRoster(un(V.Ceremony.Roster));
		same("roster", hex(roster.hash), V.Ceremony.Hash);
		same("core", hex(roster.core), V.Ceremony.Core);
		await altered("roster", roster.raw, async b => R.verifyRoster(await R.parseRoster(b)), 31);
		for (const [i, share] of V.Ceremony.Shares.entries()) {
			const x = await R.openShare(roster, i + 1, async () => un(share));
			same("public share", hex(T.publicOf(x).bytes), hex(roster.members[i].own.bytes));
			await refused("another's share", () => R.openShare(roster, (i + 1) % 3 + 1, async () => un(share)));
			await altered("share", un(share), b => R.openShare(roster, i + 1, async () => b.slice()), 3);
		}

		const inner = await K.parseInnerRecord(un(V.Seal.InnerRecord)), capsule = inner.capsule;
		same("record", hex(capsule.hash), V.Seal.Hash);
		same("header", hex(capsule.headerBytes), V.Seal.Header);
		await altered("capsule", capsule.raw, async b => K.verifyCapsule(await K.parseCapsule(b), roster.key), 3);
		await altered("inner record", un(V.Seal.InnerRecord), async b => K.verifyCapsule((await K.parseInnerRecord(b)).capsule, roster.key), 7);
		await altered("header", capsule.headerBytes, async b => { const h = K.parseHeader(b); if (h.time === capsule.header.time && hex(b) === V.Seal.Header) return; if (b.length === capsule.headerBytes.length) throw new Error("of another"); }, 200);

		const verified = async b => { const c = await C.parseCase(b); await C.checkRoster(c, roster); return c; };
		const c = await verified(un(V.Case.Case.Signed));
		same("case", hex(c.hash), V.Case.Case.Digest);
		same("statement", hex(c.statement), V.Case.Case.Statement);
		await altered("case", c.raw, verified, 5);
		await refused("a legal case to a recipient who is not in the roster", async () => C.checkRoster({ ...c, kind: 3 }, roster));
		const legal = await C.parseCase(un(V.Case.Legal.Signed));
		same("legal case", hex(legal.hash), V.Case.Legal.Digest);

		const pair = async name => { // a private key of the vectors, as WebCrypto wants it
			const d = un(V.Keys[name]), cert = { "alice signing": c.requester.certificate.read, "officer A signing": roster.plan.agents[0].signing.read }[name], spki = S.spkiOf(cert);
			const sequence = (t, ...p) => { const b = p.flatMap(x => [...x]); return [t, ...(b.length < 128 ? [b.length] : [0x81, b.length]), ...b]; };
			const ec = sequence(0x30, [2, 1, 1], sequence(4, d));
			return G.signer(new Uint8Array(sequence(0x30, [2, 1, 0], un("301306072a8648ce3d020106082a8648ce3d030107"), sequence(4, ec))), spki);
		};
		const alice = await pair("alice signing"), officer = await pair("officer A signing");
		const again = await C.signCase({ ...c, requester: c.requester }, alice);
		same("statement made here", hex(again.statement), V.Case.Case.Statement);
		await refused("a case signed by another", () => C.signCase(c, officer));
		await refused("a case without reason", () => C.signCase({ ...c, reason: "" }, alice));
		await refused("a case that misleads", () => C.signCase({ ...c, reason: "a\u202eb" }, alice));
		await refused("a case for others", () => C.signCase({ ...c, requester: { ...c.requester, person: roster.plan.agents[0].person } }, alice));
		await refused("a case that is over before it begins", () => C.signCase({ ...c, deadline: c.opened }, alice));

		const b = await O.bundle(roster, c, 0, [capsule]);
		await refused("too many records", () => O.bundle(roster, c, 0, [capsule, capsule]));
		await refused("no record", () => O.bundle(roster, c, 0, []));
		const sealedTo = new Map(), opener = () => new O.Opener(b, async s => sealedTo.get(hex(s)).slice());
		const first = opener(), answers = [];
		for (const [i, id] of [1, 3].entries()) {
			const answer = await C.parseAnswer(un(V.Case.Answers[i])), raw = un(V.Case.Partials[i]), share = await R.openShare(roster, id, async () => un(V.Ceremony.Shares[id - 1]));
			same("answer", hex(C.encodeAnswer(answer.approval, answer.sealed)), V.Case.Answers[i]);
			same("approval", hex(answer.approval.hash), V.Case.Approvals[i].Digest);
			same("partials", hex(await O.partials(b, id, share, T.parseScalar(un(V.Case.Nonce)))), V.Case.Partials[i]);
			same("partials again", hex(C.encodePartials(C.parsePartials(raw))), V.Case.Partials[i]);
			sealedTo.set(hex(answer.sealed[0]), raw);
			await altered("approval", answer.approval.raw, async x => C.verifyApproval(await C.parseApproval(x), roster, c), 9);
			await altered("answer", un(V.Case.Answers[i]), async x => C.verifyApproval((await C.parseAnswer(x)).approval, roster, c), 41);
			answers.push(answer);
			await first.add(answer.approval, answer.sealed[0]);
			await refused("an officer twice", () => first.add(answer.approval, answer.sealed[0]));
			if (i === 0) await refused("one officer alone", () => first.record(inner));
		}
		same("opened", hex(await first.record(inner)), V.Case.Opened);
		await refused("another record", async () => first.record({ ...inner, capsule: { ...capsule, hash: new Uint8Array(32) } }));
		const other = { ...inner, inner: inner.inner.slice() };
		other.inner[0] ^= 1;
		await refused("another encrypted key", async () => first.record(other));

		// An officer who seals something else than was signed, or garbage, is named, and others suffice.
		const second = opener(), good = sealedTo.get(hex(answers[0].sealed[0]));
		for (const bad of [good.slice(1), sealedTo.get(hex(answers[1].sealed[0]))]) {
			sealedTo.set(hex(answers[0].sealed[0]), bad);
			try { await second.add(answers[0].approval, answers[0].sealed[0]); faults.push("garbage was taken"); } catch (e) { same("who sealed garbage", e instanceof O.Misdeed && e.agent, 1); }
		}
		try { await second.add(answers[0].approval, answers[1].sealed[0]); faults.push("another's was taken"); } catch (e) { same("the server's doing", e instanceof O.Misdeed, false); }
		const denial = await C.parseApproval(un(V.Case.Denial.Signed));
		same("denial", hex(denial.hash), V.Case.Denial.Digest);
		await C.verifyApproval(denial, roster, c);
		await refused("a denial", () => second.add(denial, new Uint8Array()));
		same("missing", second.missing, 2);

		const dispute = await C.parseDispute(un(V.Case.Dispute.Signed));
		await altered("dispute", un(V.Case.Dispute.Signed), C.parseDispute, 7);
		const made = await C.signDispute(dispute, alice);
		same("dispute", hex(made.slice(0, V.Case.Dispute.Statement.length / 2)), V.Case.Dispute.Statement);
		const approval = await C.signApproval({ ...answers[0].approval }, roster, c, officer);
		same("approval", hex(approval.statement), V.Case.Approvals[0].Statement);
		await refused("an approval of another", () => C.signApproval({ ...answers[0].approval, agent: 2 }, roster, c, officer));
		await refused("an approval that is late", () => C.signApproval({ ...answers[0].approval, time: c.deadline + 1 }, roster, c, officer));
		same("line", S.wire.line("a\u202eb\n" + "ü".repeat(9), 12), "a\ufffdb\ufffdüü");
		return { Faults: faults, Case: hex(again.raw), Approval: hex(approval.raw), Dispute: hex(made), Raw: hex(await O.partials(b, 1, await R.openShare(roster, 1, async () => un(V.Ceremony.Shares[0])))) };`, &out, v)
	for _, f := range out.Faults {
		t.Error(f)
	}

	// What the page sealed, Go opens.
	for _, kind := range []string{"P-256", "P-384", "P-521", "RSA-3072"} {
		key := generate(t, kind)
		to := certify(t, key)
		var sealed []byte
		inPage(t, ctx, `return text(await S.seal(new TextEncoder().encode("an officer's part"), [S.parse(bytes(A[0]))]))`, &sealed, to.Raw)
		o, err := cms.Open(sealed, cms.Recipient{Certificate: to, Key: key}, cms.OpenOptions{})
		if err != nil || !o.Authenticated || string(o.Content) != "an officer's part" {
			t.Errorf("sealed to %s: %v", kind, err)
		}
	}

	// What the page signed, Go believes.
	roster, err := record.ParseRoster(unhex(t, v["Ceremony"].(map[string]any)["Roster"]))
	must(t, err)
	c, err := record.ParseCase(unhex(t, out.Case))
	must(t, err)
	must(t, c.CheckRoster(roster))
	approval, err := record.ParseApproval(unhex(t, out.Approval))
	must(t, err)
	must(t, approval.Verify(roster, c))
	dispute, err := record.ParseDispute(unhex(t, out.Dispute))
	must(t, err)
	must(t, dispute.Verify(roster, c))
}
