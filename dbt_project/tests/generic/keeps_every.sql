{# Each value of `field` in `to` stands in this column: a member that passed the gate is not lost on the way to the mart. #}
{% test keeps_every(model, column_name, to, field) %}

with expected as (

    select {{ field }} as kept from {{ to }}

),

found as (

    select {{ column_name }} as kept from {{ model }}

)

select expected.kept
from expected
left join found on expected.kept = found.kept
where found.kept is null

{% endtest %}
