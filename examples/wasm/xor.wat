;; bit_xor(n): an aggregate, and a window function because it can take a row back.
;; A state is any i32: here the number of one of 256 places in memory, so 256 groups can be under way at once.
(module
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 0))        ;; the first free place, -1 for none; the free ones are a list

  (func $start (local $i i32)
    (loop $next
      (i64.store (i32.shl (local.get $i) (i32.const 3)) (i64.extend_i32_s (i32.add (local.get $i) (i32.const 1))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $i) (i32.const 255))))
    (i64.store (i32.const 2040) (i64.const -1)))
  (start $start)

  (func (export "bit_xor_init") (result i32)
    (local $at i32)
    (if (i32.lt_s (global.get $free) (i32.const 0)) (then (unreachable)))
    (local.set $at (i32.shl (global.get $free) (i32.const 3)))
    (global.set $free (i32.wrap_i64 (i64.load (local.get $at))))
    (i64.store (local.get $at) (i64.const 0))
    (local.get $at))

  (func $step (export "bit_xor_step") (param $at i32) (param $n i64)
    (i64.store (local.get $at) (i64.xor (i64.load (local.get $at)) (local.get $n))))
  (export "bit_xor_inverse" (func $step))

  (func $value (export "bit_xor_value") (param $at i32) (result i64)
    (i64.load (local.get $at)))

  (func (export "bit_xor_finalize") (param $at i32) (result i64)
    (local $result i64)
    (local.set $result (i64.load (local.get $at)))
    (i64.store (local.get $at) (i64.extend_i32_s (global.get $free)))
    (global.set $free (i32.shr_u (local.get $at) (i32.const 3)))
    (local.get $result)))
