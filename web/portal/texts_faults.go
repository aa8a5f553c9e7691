package portal

import "strings"

// alike are words for several codes of faults that are one to who reads them. The codes stand beside one another, with spaces.
type alike struct{ Codes, EN, DE string }

// byCode is a catalogue of words for codes, its keys beginning with prefix.
func byCode(prefix string, list []alike) map[string]text {
	out := map[string]text{}
	for _, a := range list {
		for _, code := range strings.Fields(a.Codes) {
			t := text{a.EN, a.DE}
			if _, twice := out[prefix+code]; twice {
				t = text{}
			}
			out[prefix+code] = t
		}
	}
	return out
}

// exact reports whether a fault's own detail says more than our words can: whose certificate it is, or by whose clock.
func exact(code string) bool {
	return strings.HasSuffix(code, "-acceptable") || code == "case-refused" || code == "case-certificate" || code == "case-state"
}

// faultTexts say why the server refused what a page's script asked for, or what somebody asked for with a form, where no area has words of its own.
var faultTexts = byCode("fault.", []alike{
	{"internal-error", "Something went wrong inside the server. It was written down there.", "Im Server ist etwas schiefgegangen. Es wurde dort festgehalten."},
	{"database-unavailable directory-unavailable", "The server cannot reach what it needs for this. Nothing was changed; try again in a moment.",
		"Der Server erreicht gerade nicht, was er dafür braucht. Es wurde nichts geändert; versuchen Sie es gleich noch einmal."},
	{"server-busy timeout request-timeout", "The server has much to do just now. Nothing was lost; try again in a moment.", "Der Server hat gerade viel zu tun. Es ist nichts verloren; versuchen Sie es gleich noch einmal."},
	{"credentials-missing", "Sign in first.", "Melden Sie sich zuerst an."},
	{"cross-origin", "Another website tried to do this in your name. It was not done.", "Eine andere Website wollte das in Ihrem Namen tun. Es ist nicht geschehen."},
	{"request-invalid request-incomplete request-too-large media-type idempotency-key idempotency-key-reused wrong-certificate-requests csr-malformed csr-signature csr-signature-algorithm csr-too-large " +
		"key-encoding key-exponent archived-key-format archived-key-mismatch escrowed-key-missing escrowed-key-not-taken escrowed-key-refused archive-format archive-signature " +
		"cms-malformed cms-not-verified cms-too-large cms-unsupported-algorithm",
		"What this page sent is not what the server takes. Reload the page and begin anew; if it happens again, tell whoever looks after Sealpost.",
		"Was diese Seite gesendet hat, nimmt der Server so nicht. Laden Sie die Seite neu und beginnen Sie von vorn; geschieht es wieder, sagen Sie es denen, die sich um Sealpost kümmern."},
	{"key-ordered-away", "Your organisation does not rely on this kind of key any more, or not on this very key. Begin anew: the page then makes another kind.",
		"Ihre Organisation verlässt sich nicht mehr auf diese Art von Schlüssel oder nicht mehr auf genau diesen. Beginnen Sie von vorn: Dann erzeugt die Seite eine andere Art."},
	{"key-algorithm key-size key-not-allowed", "Your organisation does not take this kind of key. Begin anew: the page then makes one that it takes.",
		"Ihre Organisation nimmt diese Art von Schlüssel nicht. Beginnen Sie von vorn: Dann erzeugt die Seite eine, die sie nimmt."},
	{"key-weak archived-key-weak archived-key-broken", "The key that was made is weak. Begin anew, with a newer browser or on another computer.",
		"Der erzeugte Schlüssel ist schwach. Beginnen Sie von vorn, mit einem neueren Browser oder an einem anderen Computer."},
	{"key-in-use key-reused key-already-archived key-compromised", "This key served before, and each certificate takes a new one. Begin anew: new keys are made.",
		"Dieser Schlüssel wurde schon einmal verwendet, und jedes Zertifikat braucht einen neuen. Beginnen Sie von vorn: Es entstehen neue Schlüssel."},
	{"attestation-missing attestation-kind attestation-copyable attestation-not-signing attestation-policy attestation-other-key attestation-unreadable attestation-key attestation-not-endorsed " +
		"attestation-signature attestation-challenge attestation-unasked",
		"Here a device has to prove where the key to sign with was made. A browser cannot do that; the program sealpost-agent can. Ask your registrar.",
		"Hier muss ein Gerät beweisen, wo der Schlüssel zum Unterschreiben entstanden ist. Ein Browser kann das nicht, das Programm sealpost-agent schon. Fragen Sie Ihre Registrierungsstelle."},
	{"address-not-yours mailbox", "The request names an address that the directory does not have for you. Ask whoever looks after accounts in your organisation.",
		"Der Antrag nennt eine Adresse, die im Verzeichnis nicht bei Ihnen steht. Fragen Sie, wer sich bei Ihnen um Konten kümmert."},
	{"name-not-allowed subject lint issuer-ended issuer-without-key policy-unsigned roster-missing roster-not-pinned wrapping-key-unknown several-persons",
		"Something is not set up as it must be for this, and nothing was issued or changed. Tell whoever looks after Sealpost; try again when it is mended.",
		"Etwas ist nicht so eingerichtet, wie es dafür sein muss; es wurde nichts ausgestellt oder geändert. Sagen Sie es denen, die sich um Sealpost kümmern, und versuchen Sie es wieder, wenn es behoben ist."},
	{"advertisement-not-wanted advertisement-refused", "The directory’s entry was not changed. Your certificates are good all the same.", "Der Eintrag im Verzeichnis wurde nicht geändert. Ihre Zertifikate gelten trotzdem."},
	{"enrolment-state", "That was decided or finished before. Reload the page.", "Das war schon entschieden oder beendet. Laden Sie die Seite neu."},
	{"case-state", "The case has moved on, and that cannot be done with it any more. Reload the page.", "Der Fall ist weitergegangen; das ist mit ihm nicht mehr möglich. Laden Sie die Seite neu."},
	{"case-answered", "You have answered this case before, and differently. The first answer stands.", "Sie haben diesen Fall schon beantwortet, und zwar anders. Die erste Antwort gilt."},
	// Of these the detail says what it is; it is shown beside (exact).
	{"case-refused case-not-acceptable case-certificate", "The server does not take this case as it is. Nothing was opened and nothing handed out.", "So wie er ist, nimmt der Server diesen Fall nicht an. Es wurde nichts geöffnet und nichts herausgegeben."},
	{"approval-not-acceptable", "This answer does not count.", "Diese Antwort zählt nicht."},
	{"consent-not-acceptable", "The auditor’s consent does not count.", "Die Zustimmung der prüfenden Person zählt nicht."},
	{"dispute-not-acceptable", "The server does not take the report about an officer’s part.", "Der Server nimmt die Meldung über den Teil einer beauftragten Person nicht an."},
	{"case-not-recipient", "The keys of this case can only be fetched where it was opened.", "Die Schlüssel dieses Falls lassen sich nur dort abholen, wo er eröffnet wurde."},
	{"case-not-requester", "Only who opened the case may do that.", "Das darf nur, wer den Fall eröffnet hat."},
})
