package thunderbirdtest

import (
	"encoding/json"
	"testing"
)

// Sent is what a compose window said.
type Sent struct {
	Signs bool   // it would have signed by itself
	Gone  bool   // the mail was sent
	Says  string // what was said instead
}

// Send writes a mail as the account's owner, encrypts it, and signs it if the account does so by itself.
func (tb *Thunderbird) Send(t testing.TB, to, subject, body string) (s Sent) {
	t.Helper()
	into(t, tb.Run(t, `
const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.to = a0; fields.subject = a1; fields.body = a2;
params.composeFields = fields; params.type = Ci.nsIMsgCompType.New; params.format = Ci.nsIMsgCompFormat.PlainText;
params.identity = MailServices.accounts.defaultAccount.defaultIdentity;
MailServices.compose.OpenComposeWindowWithParams(null, params);
const w = await until(() => { const x = Services.wm.getMostRecentWindow("msgcompose"); return x && x.gMsgCompose && x.gSMFields ? x : null }, "window to write in");
await until(() => w.document.readyState == "complete" && w.gCurrentIdentity, "account");
await sleep(1000);
const out = {Signs: w.gSendSigned && !w.gSelectedTechnologyIsPGP, Gone: false, Says: ""};
w.gSelectedTechnologyIsPGP = false; w.gSendEncrypted = true; w.gUserTouchedSendEncrypted = true;
w.goDoCommand("cmd_sendNow");
for (const begin = Date.now(); !w.closed && !out.Says && Date.now() - begin < 90000; await sleep(100)) {
	for (const x of Services.wm.getEnumerator(null)) if (x.location?.href.includes("commonDialog")) {
		const text = x.document.getElementById("infoBody")?.textContent || x.Dialog?.args?.text;
		if (text) { out.Says = (x.Dialog?.args?.title || "") + ": " + text; x.close() }
	}
	const inner = w.document.querySelector("dialog[open] browser")?.contentWindow;
	const text = inner?.document.getElementById("infoBody")?.textContent;
	if (text) { out.Says = text; inner.document.querySelector("dialog")?.acceptDialog?.() }
}
out.Gone = w.closed;
if (!w.closed) { w.gContentChanged = false; w.close() }
return out;`, to, subject, body), &s)
	return s
}

// Seen is what Thunderbird shows of a mail.
type Seen struct {
	Signed    string // "OK", a reason why not, or "" for a mail that is not signed
	Encrypted string // likewise
	Signer    string // serial number of the signature's certificate, in Thunderbird's form
	Body      string
}

// Read fetches the mail of that subject and opens it.
func (tb *Thunderbird) Read(t testing.TB, subject string) (s Seen) {
	t.Helper()
	into(t, tb.Run(t, `
const inboxOf = () => MailServices.accounts.defaultAccount.incomingServer.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const inbox = await until(() => inboxOf() || (MailServices.accounts.defaultAccount.incomingServer.performExpand(null), null), "inbox");
let header;
for (const begin = Date.now(); !header; await sleep(300)) {
	if (Date.now() - begin > 90000) throw new Error("no mail " + a0);
	await new Promise(r => { inbox.getNewMessages(null, {OnStartRunningUrl() {}, OnStopRunningUrl() { r() }}); setTimeout(r, 5000) });
	header = [...inbox.messages].filter(h => h.mime2DecodedSubject == a0).pop();
}
MailUtils.openMessageInNewWindow(header);
const win = await until(() => { const w = Services.wm.getMostRecentWindow("mail:messageWindow");
	return w?.messageBrowser?.contentWindow?.gMessage?.messageId == header.messageId ? w : null }, "window to read in");
const pane = win.messageBrowser.contentWindow;
const body = () => pane.document.getElementById("messagepane").contentDocument.querySelector(".moz-text-plain, .moz-text-flowed, .moz-text-html");
await until(body, "text");
await until(() => pane.gEncryptionStatus != -1, "encryption").catch(() => 0);
await until(() => pane.gReceivedSignatureCount >= pane.gExpectedSignatureCount && pane.gSignatureStatus != -1, "signature").catch(() => 0);
const word = v => v == -1 ? "" : v == 0 ? "OK" : (Object.keys(Ci.nsICMSMessageErrors).find(k => Ci.nsICMSMessageErrors[k] === v) || String(v));
const out = {Signed: word(pane.gSignatureStatus), Encrypted: word(pane.gEncryptionStatus), Signer: pane.gSignerCert?.serialNumber || "", Body: body().textContent.trim()};
win.close();
return out;`, subject), &s)
	return s
}

// Account is what the account is told to use.
type Account struct {
	Signing, Encryption string // serial numbers of the certificates that Thunderbird finds; "" for none
	Sign                bool
}

// Account returns what the account uses, as Thunderbird finds it.
func (tb *Thunderbird) Account(t testing.TB) (a Account) {
	t.Helper()
	into(t, tb.Run(t, `
const id = MailServices.accounts.defaultAccount.defaultIdentity;
const find = use => { const key = id.getCharAttribute(use + "_cert_dbkey"), c = key && certificates.findCertByDBKey(key);
	if (!c) return "";
	if (c.dbKey != key || id.getUnicharAttribute(use + "_cert_name") != c.displayName) throw new Error(use + " is named otherwise: " + c.displayName + " " + c.dbKey);
	return c.serialNumber };
return {Signing: find("signing"), Encryption: find("encryption"), Sign: id.signMail};`), &a)
	return a
}

// Certificates returns the serial numbers of the certificates whose subject has a name in it, as the program knows them now.
func (tb *Thunderbird) Certificates(t testing.TB, name string) (serials []string) {
	t.Helper()
	into(t, tb.Run(t, `return certificates.getCerts().filter(c => c.subjectName.includes(a0)).map(c => c.serialNumber)`, name), &serials)
	return serials
}

func into(t testing.TB, v, to any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}
