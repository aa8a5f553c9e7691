package fleet

import (
	_ "embed"
	"slices"
	"strings"
)

//go:generate go test -run ^TestCodes$ -count=1 . -update

// codes are the codes of faults in this source, one a line, sorted.
//
//go:embed codes.txt
var codes string

// KnownCode reports whether a code of a failure is one that this source has. Those are few; of others anybody can make up as many as they
// like, so nothing that is kept for each code may be kept for them.
func KnownCode(code string) bool {
	_, found := slices.BinarySearch(strings.Fields(codes), code)
	return found
}
