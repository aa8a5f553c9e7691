package point

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What is written first beside the file has a name of ours that says when it was begun: what a writer that was killed
// leaves behind can be told from the work of one that is alive, whatever clock the other side has.
var temporaryName = regexp.MustCompile(`^\.?sealpost-([0-9a-f]{8,12})-[a-z2-7]{16}\.tmp$`)

// leftover is how old such a file must be to belong to nobody: longer than any delivery may take.
const leftover = time.Hour

func temporary(now time.Time) string {
	return fmt.Sprintf("sealpost-%08x-%s.tmp", now.Unix(), strings.ToLower(rand.Text()[:16]))
}

// abandoned reports whether a name is that of a file whose writer must have ended long ago.
func abandoned(name string, now time.Time) bool {
	m := temporaryName.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	begun, err := strconv.ParseInt(m[1], 16, 64)
	return err == nil && now.Sub(time.Unix(begun, 0)) > leftover
}
