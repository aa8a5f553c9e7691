package record

// Words writes it as sixteen words of five letters, for reading aloud: each stands for 16 bits as consonant, vowel,
// consonant, vowel, consonant ("proquints", arXiv:0901.4016). The subject of a restore reads those of the recipient's
// fingerprint to the officers.
func (h Hash) Words() []string {
	const consonants, vowels = "bdfghjklmnprstvz", "aiou"
	words := make([]string, 0, len(h)/2)
	for i := 0; i < len(h); i += 2 {
		v := uint(h[i])<<8 | uint(h[i+1])
		words = append(words, string([]byte{consonants[v>>12], vowels[v>>10&3], consonants[v>>6&15], vowels[v>>4&3], consonants[v&15]}))
	}
	return words
}
