package clients

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// dict is a dictionary of a property list, in the order in which it is written.
type dict []pair

type pair struct {
	key   string
	value any // string, bool, int, []byte, dict or []dict
}

// plist writes a property list in XML, as Apple's systems read it.
func plist(d dict) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(xml.Header)
	out.WriteString(`<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	out.WriteString(`<plist version="1.0">` + "\n")
	if err := writeValue(&out, d, ""); err != nil {
		return nil, err
	}
	out.WriteString("</plist>\n")
	return out.Bytes(), nil
}

func writeValue(out *bytes.Buffer, value any, indent string) error {
	switch v := value.(type) {
	case dict:
		fmt.Fprintf(out, "%s<dict>\n", indent)
		for _, p := range v {
			fmt.Fprintf(out, "%s\t<key>%s</key>\n", indent, escape(p.key))
			if err := writeValue(out, p.value, indent+"\t"); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "%s</dict>\n", indent)
	case []dict:
		fmt.Fprintf(out, "%s<array>\n", indent)
		for _, d := range v {
			if err := writeValue(out, d, indent+"\t"); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "%s</array>\n", indent)
	case string:
		fmt.Fprintf(out, "%s<string>%s</string>\n", indent, escape(v))
	case []byte:
		fmt.Fprintf(out, "%s<data>%s</data>\n", indent, base64.StdEncoding.EncodeToString(v))
	case bool:
		fmt.Fprintf(out, "%s<%t/>\n", indent, v)
	case int:
		fmt.Fprintf(out, "%s<integer>%s</integer>\n", indent, strconv.Itoa(v))
	default:
		return fmt.Errorf("clients: a property list cannot hold %T", value)
	}
	return nil
}

// escape writes text for XML. What XML cannot hold becomes U+FFFD.
func escape(s string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, bytes.ToValidUTF8([]byte(s), []byte(string(utf8.RuneError)))) // a buffer takes everything
	return out.String()
}
