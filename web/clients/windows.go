package clients

import (
	"crypto/sha1" // #nosec G505: Windows names certificates by it; nothing relies on it
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

const (
	machineStores = `HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\SystemCertificates`
	outlookPolicy = `HKEY_CURRENT_USER\Software\Policies\Microsoft\Office\16.0\Outlook\Security`
)

// Setting is a value of the registry (REG_DWORD).
type Setting struct {
	Key, Name string
	Value     uint32
}

// Outlook returns Outlook's settings for signed and encrypted mail, as its policy templates have them.
func (i Installation) Outlook() []Setting {
	out := []Setting{
		{outlookPolicy, "ClearSign", 1},           // who has no S/MIME can read what is signed
		{outlookPolicy, "msgformats", 1},          // S/MIME alone
		{outlookPolicy, "ForceDefaultProfile", 1}, // certificates are chosen by Outlook
	}
	if i.Policy.Sign {
		out = append(out, Setting{outlookPolicy, "AlwaysSign", 1})
	}
	if i.Policy.Encrypt {
		out = append(out, Setting{outlookPolicy, "AlwaysEncrypt", 1})
	}
	return out
}

// Registry returns a file for Windows' registry editor (.reg, UTF-16): the roots and the certificates below in the machine's stores
// where group policy puts them, and Outlook's settings for whoever imports it. There is no text of people's in it.
func (i Installation) Registry() []byte {
	var out strings.Builder
	out.WriteString("Windows Registry Editor Version 5.00\n\n")
	for _, s := range []struct {
		store string
		of    []*x509.Certificate
	}{{"Root", i.Roots()}, {"CA", i.Issuing()}} {
		for _, c := range s.of {
			fmt.Fprintf(&out, "[%s\\%s\\Certificates\\%s]\n\"Blob\"=%s\n\n", machineStores, s.store, thumbprint(c), hexBytes(blob(c)))
		}
	}
	fmt.Fprintf(&out, "[%s]\n", outlookPolicy)
	for _, s := range i.Outlook() {
		fmt.Fprintf(&out, "%q=dword:%08x\n", s.Name, s.Value)
	}
	out.WriteString("\n")
	units := utf16.Encode([]rune("\ufeff" + strings.ReplaceAll(out.String(), "\n", "\r\n")))
	file := make([]byte, 0, 2*len(units))
	for _, u := range units {
		file = binary.LittleEndian.AppendUint16(file, u)
	}
	return file
}

func thumbprint(c *x509.Certificate) string { return fmt.Sprintf("%X", sha1.Sum(c.Raw)) } // #nosec G401: a name

// hexBytes writes a binary value, in lines of 25 bytes as the registry editor does.
func hexBytes(b []byte) string {
	var out strings.Builder
	out.WriteString("hex:")
	for n, x := range b {
		if n > 0 {
			out.WriteString(",")
			if n%25 == 0 {
				out.WriteString("\\\n  ")
			}
		}
		fmt.Fprintf(&out, "%02x", x)
	}
	return out.String()
}
