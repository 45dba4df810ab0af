;; shout(text): a text in, a text out. flip(blob): the same for blobs.
;; An i32 points to a value: 3, bytes, 0 for text; 4, length as 4 bytes (big-endian), bytes for a blob; 5 for NULL.
(module
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 1024))

  ;; Room that is never given back: the engine begins with new memory when there is too much of it.
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

  ;; Small ASCII letters become capitals, in place.
  (func (export "shout") (param $text i32) (result i32)
    (local $at i32) (local $byte i32)
    (local.set $at (local.get $text))
    (if (i32.eq (i32.load8_u (local.get $text)) (i32.const 3))
      (then
        (loop $next
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (local.set $byte (i32.load8_u (local.get $at)))
          (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 97)) (i32.const 26))
            (then (i32.store8 (local.get $at) (i32.sub (local.get $byte) (i32.const 32)))))
          (br_if $next (local.get $byte)))))
    (local.get $text))

  ;; The bytes of a blob from the last to the first; NULL for anything else.
  (func (export "flip") (param $blob i32) (result i32)
    (local $low i32) (local $high i32) (local $byte i32)
    (if (i32.ne (i32.load8_u (local.get $blob)) (i32.const 4))
      (then
        (i32.store8 (local.get $blob) (i32.const 5))
        (return (local.get $blob))))
    (local.set $low (i32.add (local.get $blob) (i32.const 5)))
    (local.set $high
      (i32.add (local.get $low)
        (i32.or
          (i32.or
            (i32.shl (i32.load8_u offset=1 (local.get $blob)) (i32.const 24))
            (i32.shl (i32.load8_u offset=2 (local.get $blob)) (i32.const 16)))
          (i32.or
            (i32.shl (i32.load8_u offset=3 (local.get $blob)) (i32.const 8))
            (i32.load8_u offset=4 (local.get $blob))))))
    (block $done
      (loop $next
        (local.set $high (i32.sub (local.get $high) (i32.const 1)))
        (br_if $done (i32.ge_s (local.get $low) (local.get $high)))
        (local.set $byte (i32.load8_u (local.get $low)))
        (i32.store8 (local.get $low) (i32.load8_u (local.get $high)))
        (i32.store8 (local.get $high) (local.get $byte))
        (local.set $low (i32.add (local.get $low) (i32.const 1)))
        (br $next)))
    (local.get $blob)))
