package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/e2etest"
)

// A registrar follows docs/import.md with files that openssl made.
func TestImportRunbook(t *testing.T) {
	t.Parallel()
	f := newRunbook(t)
	f.carry(f.path("pki/root.pem"), "rita/root.pem")
	makeForeignKeys(t, f.at("rita"))
	f.refuses["sealpost-agent import keys.zip --server "+f.url()+" --roots root.pem --login rita --passwords passwords.csv --dry-run"] = "say that they left"
	f.after["sealpost-agent import keys.zip --server "+f.url()+" --roots root.pem --login rita --passwords passwords.csv --dry-run"] = func() {
		if n := f.db.Count(t, `select count(*) from archive.record`); n != 0 {
			t.Errorf("%d records after the dry run", n)
		}
		list := f.at("rita/passwords.csv")
		write(t, list, strings.ReplaceAll(read(t, list), "battery,", "battery,departed"))
	}
	f.says["sealpost-agent import keys.zip --server "+f.url()+" --roots root.pem --login rita --passwords passwords.csv --report"] = "3 archived"
	f.says["sealpost-agent import blobs"] = "1 archived"
	f.says["sealpost-agent import keys.zip --server "+f.url()+" --roots root.pem --login rita --passwords passwords.csv --all"] = "3 already-archived"
	f.document("docs/import.md", "", "")
	if n := f.db.Count(t, `select count(*) from archive.record where state = 'kept'`); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
	if out := read(t, f.at("rita/report.json")); strings.Count(out, `"state": "archived"`) != 3 || strings.Contains(out, "correct, horse") {
		t.Errorf("report.json: %s", out)
	}
	for _, name := range []string{"keys.zip", "kra.pfx"} {
		if _, err := os.Stat(f.at("rita/" + name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	f.done(5)
}

// makeForeignKeys makes what a registrar has of former years: keys.zip with its list, and a recovery blob of Windows' authority
// with its agent's key.
func makeForeignKeys(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "blobs"), 0o700))
	write(t, filepath.Join(dir, "passwords.csv"), "file,password,person\nalice-2019.p12,\"correct, horse\",\n2015/zoe.pfx,battery,\nbob.p12,staple,\n")
	write(t, filepath.Join(dir, "kra.password"), "kra-secret\n")
	e2etest.Tool(t, dir, "sh", "-ec", `exec 2>/dev/null
mkdir made
openssl req -x509 -newkey rsa:2048 -nodes -keyout made/ca.key -out made/ca.pem -subj '/CN=Old Authority' -days 3650
pair() {
	printf 'keyUsage=critical,keyEncipherment\nsubjectAltName=email:%s\n' "$3" >made/$1.ext
	openssl req -new -newkey rsa:2048 -nodes -keyout made/$1.key -out made/$1.csr -subj "/CN=$2"
	openssl x509 -req -in made/$1.csr -CA made/ca.pem -CAkey made/ca.key -extfile made/$1.ext -out made/$1.pem -days 1
}
pair alice 'Alice Anders' alice@example.test
pair alice-2 'Alice Anders' alice@example.test
pair bob 'Bob Brown' bob@example.test
pair zoe 'Zoe Zimmer' zoe@example.test
pair kra 'Recovery agent' kra@example.test
mkdir -p made/zip/2015
openssl pkcs12 -export -inkey made/alice.key -in made/alice.pem -out made/zip/alice-2019.p12 -passout 'pass:correct, horse'
openssl pkcs12 -export -legacy -inkey made/zoe.key -in made/zoe.pem -out made/zip/2015/zoe.pfx -passout pass:battery
openssl pkcs12 -export -inkey made/bob.key -in made/bob.pem -out made/zip/bob.p12 -passout pass:staple
(cd made/zip && zip -qr ../../keys.zip .)
openssl pkcs12 -export -inkey made/kra.key -in made/kra.pem -out kra.pfx -passout file:kra.password
openssl rsa -in made/alice-2.key -outform 'MS PRIVATEKEYBLOB' -out made/content
openssl cms -encrypt -binary -des3 -outform DER -in made/content -out made/enveloped made/kra.pem
openssl cms -sign -binary -nodetach -outform DER -in made/enveloped -signer made/ca.pem -inkey made/ca.key -certfile made/alice-2.pem -out blobs/1742.bin`)
}
