;; words(text): a table function with a row for each word between blanks.
;; A cursor is a pointer to: the end of the word before (i32), how many words there were (i32).
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "\03word, position\00")
  (global $top (mut i32) (i32.const 1024))

  (func $alloc (export "libsql_malloc") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $size)))
    (block $enough
      (br_if $enough (i32.le_u (global.get $top) (i32.shl (memory.size) (i32.const 16))))
      (br_if $enough (i32.ne (i32.const -1)
        (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))
      (global.set $top (local.get $at))
      (return (i32.const 0)))
    (local.get $at))

  (func (export "words_columns") (result i32) (i32.const 16))

  (func (export "words_open") (param $text i32) (result i32)
    (local $cursor i32)
    (local.set $cursor (call $alloc (i32.const 8)))
    (if (i32.eqz (local.get $cursor)) (then (unreachable)))
    (i32.store (local.get $cursor) (local.get $text))
    (i32.store offset=4 (local.get $cursor) (i32.const 0))
    (if (i32.ne (i32.load8_u (local.get $text)) (i32.const 3))
      (then (i32.store (local.get $cursor) (i32.const 15))))      ;; no text: a place with a 0 behind it
    (local.get $cursor))

  ;; To the end of the next word; its first byte is not noted, words_column() goes back to the blank before it.
  (func (export "words_next") (param $cursor i32) (result i32)
    (local $at i32)
    (local.set $at (i32.add (i32.load (local.get $cursor)) (i32.const 1)))
    (if (i32.ne (i32.load8_u (i32.sub (local.get $at) (i32.const 1))) (i32.const 0))
      (then)
      (else (return (i32.const 0))))
    (block $word (loop $blank
      (br_if $word (i32.ne (i32.load8_u (local.get $at)) (i32.const 32)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $blank)))
    (if (i32.eqz (i32.load8_u (local.get $at))) (then (return (i32.const 0))))
    (block $end (loop $letter
      (br_if $end (i32.le_u (i32.load8_u (local.get $at)) (i32.const 32)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $letter)))
    (i32.store (local.get $cursor) (local.get $at))
    (i32.store offset=4 (local.get $cursor) (i32.add (i32.load offset=4 (local.get $cursor)) (i32.const 1)))
    (i32.const 1))

  (func (export "words_column") (param $cursor i32) (param $column i32) (result i32)
    (local $from i32) (local $to i32) (local $out i32)
    (if (local.get $column)
      (then                                                       ;; position: 1, 8 bytes
        (local.set $out (call $alloc (i32.const 9)))
        (i32.store8 (local.get $out) (i32.const 1))
        (i64.store offset=1 align=1 (local.get $out) (i64.load32_u offset=4 (local.get $cursor)))
        (return (local.get $out))))
    (local.set $to (i32.load (local.get $cursor)))
    (local.set $from (local.get $to))
    (block $start (loop $back
      (br_if $start (i32.le_u (i32.load8_u (i32.sub (local.get $from) (i32.const 1))) (i32.const 32)))
      (local.set $from (i32.sub (local.get $from) (i32.const 1)))
      (br $back)))
    (local.set $out (call $alloc (i32.add (i32.sub (local.get $to) (local.get $from)) (i32.const 2))))
    (i32.store8 (local.get $out) (i32.const 3))
    (memory.copy (i32.add (local.get $out) (i32.const 1)) (local.get $from) (i32.sub (local.get $to) (local.get $from)))
    (i32.store8 (i32.add (i32.add (local.get $out) (i32.const 1)) (i32.sub (local.get $to) (local.get $from))) (i32.const 0))
    (local.get $out)))
