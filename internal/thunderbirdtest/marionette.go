package thunderbirdtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// marionette is a session of the protocol: messages are a length in decimal, a colon, and JSON, [0, id, command, parameters] there
// and [1, id, error, result] back.
type marionette struct {
	conn net.Conn
	in   *bufio.Reader
	last int
}

// connect waits until the program listens, and begins a session with all rights.
func connect(port int, ended <-chan struct{}) (*marionette, error) {
	m := &marionette{}
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			m.conn, m.in = conn, bufio.NewReader(conn)
			break
		}
		select {
		case <-ended:
			return m, errors.New("it ended at once; is the package thunderbird installed?")
		default:
		}
		if time.Since(begin) > patience {
			return m, err
		}
	}
	if _, err := m.receive(); err != nil { // its greeting
		return m, err
	}
	for _, c := range []struct {
		name       string
		parameters map[string]any
	}{
		{"WebDriver:NewSession", map[string]any{"strictFileInteractability": false}},
		{"Marionette:SetContext", map[string]any{"value": "chrome"}},
		{"WebDriver:SetTimeouts", map[string]any{"script": patience.Milliseconds()}},
	} {
		if _, err := m.command(c.name, c.parameters); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *marionette) close() error {
	if m == nil || m.conn == nil {
		return nil
	}
	return m.conn.Close()
}

func (m *marionette) receive() (json.RawMessage, error) {
	if err := m.conn.SetDeadline(time.Now().Add(patience + 30*time.Second)); err != nil {
		return nil, err
	}
	head, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(head, ":"))
	if err != nil || n < 0 || n > 64<<20 {
		return nil, fmt.Errorf("a message of length %q", head)
	}
	body := make([]byte, n)
	_, err = io.ReadFull(m.in, body)
	return body, err
}

func (m *marionette) command(name string, parameters map[string]any) (json.RawMessage, error) {
	m.last++
	message, err := json.Marshal([]any{0, m.last, name, parameters})
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(message), message); err != nil {
		return nil, err
	}
	for {
		body, err := m.receive()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var answer [4]json.RawMessage
		var id int
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(answer[1], &id); err != nil {
			return nil, err
		}
		switch {
		case id != m.last:
		case string(answer[2]) != "null":
			return nil, fmt.Errorf("%s: %s", name, answer[2])
		default:
			return answer[3], nil
		}
	}
}

// prelude is there for every script.
const prelude = `
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const {MailUtils} = ChromeUtils.importESModule("resource:///modules/MailUtils.sys.mjs");
const {setTimeout} = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
const sleep = ms => new Promise(r => setTimeout(r, ms));
const until = async (f, what) => {
	for (const begin = Date.now(); ; await sleep(50)) {
		let v; try { v = f() } catch (e) { v = null }
		if (v) return v;
		if (Date.now() - begin > 90000) throw new Error("no " + what);
	}
};
`

func (m *marionette) run(script string, args ...any) (any, error) {
	if args == nil {
		args = []any{}
	}
	names := make([]string, len(args))
	for i := range args {
		names[i] = fmt.Sprintf("a%d,", i)
	}
	text := "let [" + strings.Join(names, "") + "done] = arguments; (async () => {" + prelude + script +
		"})().then(v => done({value: v === undefined ? null : v}), e => done({error: String(e) + ' ' + (e.stack || '')}));"
	raw, err := m.command("WebDriver:ExecuteAsyncScript", map[string]any{"script": text, "args": args, "sandbox": "system", "newSandbox": true})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Value struct {
			Value any    `json:"value"`
			Error string `json:"error"`
		} `json:"value"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, err
	}
	if answer.Value.Error != "" {
		return nil, errors.New(answer.Value.Error)
	}
	return answer.Value.Value, nil
}
